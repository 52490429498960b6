"""Dataclasses as JSON and back, by their annotations. The only place that knows how values are spelt on the wire.

Enums of words are their words, enums of numbers their names in lower case; keys are field names. What comes from
outside is checked against the annotations: a request with a key that nobody knows is refused, since a misspelt
``confirm_s`` must not be an apply without one; a reply may have keys of a newer agent.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

MAX_VALUES = 10_000
_TEXTS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_BATCH = 256
_Value = TypeVar("_Value")


class WireError(ValueError):
    """Something else came than what the annotations say; the message says where."""


def to_plain(value: object) -> Any:
    """A value of dataclasses, enums, mappings and sequences as JSON has it."""
    if isinstance(value, Enum):
        return value.value if isinstance(value.value, str) else value.name.lower()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if is_dataclass(value):
        return {name: to_plain(getattr(value, name)) for name in _names(cast(Any, type(value)))}
    if isinstance(value, Mapping):
        return {str(to_plain(key)): to_plain(item) for key, item in value.items()}
    if isinstance(value, Sequence | frozenset):
        return [to_plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no form on the wire")


def pieces(value: object) -> Iterator[bytes]:
    """The JSON of a value, in parts: a plan of tens of thousands of actions is never whole in memory."""
    if is_dataclass(value) and not isinstance(value, type):
        mark = b"{"
        for name in _names(type(value)):
            yield mark + json.dumps(name).encode() + b":"
            yield from pieces(getattr(value, name))
            mark = b","
        yield b"{}" if mark == b"{" else b"}"
    elif isinstance(value, Sequence) and not isinstance(value, str) and len(value) > _BATCH:
        for start in range(0, len(value), _BATCH):
            yield (b"," if start else b"[") + _dumps(value[start : start + _BATCH])[1:-1]
        yield b"]"
    else:
        yield _dumps(value)


def from_plain(kind: type[_Value], plain: object, *, is_strict: bool = True, where: str = "") -> _Value:
    """A value of an annotated type.

    Args:
        is_strict: whether a key that the type does not have is refused.
        where: the path to the value, for the message.

    Raises:
        WireError: it is not of that type.
    """
    return cast(_Value, _read(kind, plain, is_strict, where or "the document"))


def parse(text: bytes) -> object:
    """The JSON value in a text.

    Raises:
        WireError: it is none, too deep, or of more values than any request has: millions of empty lists in a few
            megabytes would be hundreds of megabytes in memory.
    """
    bare = _TEXTS.sub(b"", text)
    if sum(map(bare.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise WireError(f"more than {MAX_VALUES:,} values in one request")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WireError(f"not JSON: {error}") from None


def _dumps(value: object) -> bytes:
    return json.dumps(to_plain(value), allow_nan=False, separators=(",", ":")).encode()


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _read(kind: Any, plain: object, is_strict: bool, where: str) -> object:
    origin, of = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _optional(of, plain, is_strict, where)
    if origin is Literal:
        if plain not in of:
            raise WireError(f"{where}: {plain!r:.60} is none of {', '.join(map(str, of))}")
        return plain
    if origin is tuple and (len(of) != 2 or of[1] is not Ellipsis):
        items = _list(plain, where)
        if len(items) != len(of):
            raise WireError(f"{where}: {len(items)} items instead of {len(of)}")
        return tuple(_read(one, item, is_strict, where) for one, item in zip(of, items, strict=True))
    if origin is tuple or origin is Sequence:
        items = _list(plain, where)
        return tuple(_read(of[0], item, is_strict, f"{where}[{number}]") for number, item in enumerate(items))
    if origin is Mapping:
        if not isinstance(plain, dict):
            raise WireError(f"{where}: not an object")
        return {
            _read(of[0], key, is_strict, where): _read(of[1], item, is_strict, f"{where}.{key}")
            for key, item in plain.items()
        }
    return _read_plain(kind, plain, is_strict, where)


def _read_plain(kind: Any, plain: object, is_strict: bool, where: str) -> object:
    if isinstance(kind, type) and issubclass(kind, Enum):
        named = {to_plain(member): member for member in kind}
        if not isinstance(plain, str) or plain not in named:
            raise WireError(f"{where}: {plain!r:.60} is no {kind.__name__}")
        return named[plain]
    if is_dataclass(kind):
        return _dataclass(cast(type, kind), plain, is_strict, where)
    if kind is float and isinstance(plain, int) and not isinstance(plain, bool):
        return float(plain)
    if not isinstance(plain, kind) or isinstance(plain, bool) is not (kind is bool):
        raise WireError(f"{where}: {plain!r:.60} is not {_WORDS.get(kind, kind.__name__)}")
    return plain


_WORDS = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}


def _optional(of: tuple[Any, ...], plain: object, is_strict: bool, where: str) -> object:
    """``X | None``; no other union goes over the wire."""
    if plain is None and NoneType in of:
        return None
    (kind,) = (one for one in of if one is not NoneType)
    return _read(kind, plain, is_strict, where)


def _dataclass(kind: type, plain: object, is_strict: bool, where: str) -> object:
    if not isinstance(plain, dict):
        raise WireError(f"{where}: not an object")
    known = fields(kind)
    unknown = sorted(plain.keys() - {field.name for field in known})
    if unknown and is_strict:
        raise WireError(f"{where}: nothing is called {unknown[0]!r:.60} here; there are {', '.join(_names(kind))}")
    values = {}
    for field in known:
        if field.name in plain:
            values[field.name] = _read(_hints(kind)[field.name], plain[field.name], is_strict, f"{where}.{field.name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise WireError(f"{where}: {field.name} is missing")
    return kind(**values)


def _list(plain: object, where: str) -> list[Any]:
    if not isinstance(plain, list):
        raise WireError(f"{where}: not a list")
    return plain
