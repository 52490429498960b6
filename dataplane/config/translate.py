"""pydantic's errors as problems: exact positions, and words of the language instead of pydantic's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from dataplane.config.node import Node
from dataplane.config.problem import Path, Problem, path_text, shown
from dataplane.config.values import REFUSED
from dataplane.config.vocabulary import LATER_KEYS, closest, did_you_mean, known_keys

_KINDS = {
    "dataclass_type": "a map of keys",
    "mapping_type": "a map of keys",
    "dict_type": "a map of keys",
    "tuple_type": "a list",
    "list_type": "a list",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """A problem and where to cut, so that the rest of the configuration can still be judged.

    Args:
        path: where it is, in the file's own keys.
        is_unknown_key: the key alone can be taken away; what it stands in is whole without it.
        meant: the path that a misspelt key was meant to be; empty where nothing is close.
        is_echo: another fault explains this one, a misspelt key the missing one.
    """

    problem: Problem
    path: Path
    is_unknown_key: bool = False
    is_echo: bool = False
    meant: Path = ()


def translate(error: ValidationError, root: Node) -> list[Fault]:
    """Every error of a validation, in pydantic's order.

    Args:
        error: what validating ``root.plain()`` raised.
        root: the tree that was validated.
    """
    details = error.errors(include_url=False, include_input=True)
    return [_fault(item["type"], item["loc"], item.get("ctx", {}), item["input"], root) for item in details]


def _fault(kind: str, loc: Sequence[str | int], context: Mapping[str, Any], value: Any, root: Node) -> Fault:
    if kind == "missing":
        return _missing(loc, root)
    if loc and loc[-1] == "[key]":
        path = real_path(loc[:-1], root)
        return Fault(_refused(context, path, root, is_key=True), path)
    path = real_path(loc, root)
    if kind == "unexpected_keyword_argument":
        meant = closest(str(path[-1]), known_keys(path[:-1]))
        path_meant = (*path[:-1], meant) if meant is not None else ()
        return Fault(_unknown_key(path, root), path, is_unknown_key=True, meant=path_meant)
    if kind == REFUSED:
        return Fault(_refused(context, path, root), path)
    wanted = _KINDS.get(kind, "another kind of value")
    found = {dict: "a map", list: "a list", type(None): "nothing"}.get(type(value), f"`{shown(value)}`")
    remedy = _remedy_for_kind(wanted, path)
    return Fault(_problem(root, path, f"{found} stands where {wanted} belongs", None, remedy), path)


def _remedy_for_kind(wanted: str, path: Path) -> str:
    keys = known_keys(path)
    if wanted == "a map of keys" and keys:
        return f"write a map with the keys {', '.join(keys)}"
    return "write [..., ...] or one item a line with a dash" if wanted == "a list" else "write `id: {...}` entries"


def real_path(loc: Sequence[str | int], root: Node) -> Path:
    """pydantic's location without what is not in the file: tags of unions, names of unwrapped fields."""
    path: list[str | int] = []
    node = root
    for step in loc:
        below = node.child(step)
        if below is not None:
            node = below
            path.append(step)
    return tuple(path)


def _missing(loc: Sequence[str | int], root: Node) -> Fault:
    path = real_path(loc[:-1], root)
    key = str(loc[-1])
    message = f"the key `{key}` is missing"
    remedy = "write version: 1" if not path and key == "version" else f"add {key}: ..."
    node = root.nearest(path)
    unknown = [name for name in node.value if name not in known_keys(path)] if isinstance(node.value, dict) else []
    problem = Problem("error", node.key_origin, path_text(root.written(path)), message, None, remedy)
    return Fault(problem, path, is_echo=any(did_you_mean(name, [key]) for name in unknown))


def _unknown_key(path: Path, root: Node) -> Problem:
    key = str(path[-1])
    if path[-2:] == ("acceptor", "bandwidth"):
        message, rule = "an acceptor takes no bandwidth", "R10"
        return _problem(root, path, message, rule, "write bandwidth: beside initiator: and acceptor:", is_key=True)
    if key in LATER_KEYS:
        return _problem(
            root, path, f"`{key}` comes later", "D24", "remove it: this version has no such feature", is_key=True
        )
    known = known_keys(path[:-1])
    remedy = did_you_mean(key, known) or f"known here: {', '.join(known)}"
    return _problem(root, path, f"the key `{shown(key)}` is unknown", None, remedy, is_key=True)


def _refused(context: Mapping[str, Any], path: Path, root: Node, is_key: bool = False) -> Problem:
    return _problem(root, path, context["message"], context["rule"], context["remedy"], is_key=is_key)


def _problem(root: Node, path: Path, message: str, rule: str | None, remedy: str, *, is_key: bool = False) -> Problem:
    node = root.nearest(path)
    origin = node.key_origin if is_key else node.origin
    return Problem("error", origin, path_text(root.written(path)), message, rule, remedy)
