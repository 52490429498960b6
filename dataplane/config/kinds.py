"""The types of fields: a parser of ``values`` together with the JSON Schema that an editor checks.

A model says ``cidr: Prefix`` and needs no more; this module joins the two and decides nothing itself. What it says is
in pydantic's form, and pydantic is imported only by whoever asks for that: the one who reads a file.
"""

from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Annotated, Any

from dataplane.config import values
from dataplane.model import names

Handler = Callable[[Any], Any]
"""From a type to its schema, or from that to its JSON Schema; pydantic's."""
_ADDRESS = r"([0-9]{1,3}\.){3}[0-9]{1,3}"


def _core() -> Any:
    from pydantic_core import core_schema

    return core_schema


def function_before(adapt: Callable[[Any], Any], schema: Any) -> Any:
    """A schema whose values go through a function first."""
    return _core().no_info_before_validator_function(adapt, schema)


def function_after(check: Callable[[Any], Any], schema: Any) -> Any:
    """A schema whose results go through a function."""
    return _core().no_info_after_validator_function(check, schema)


class Kind:
    """Metadata of a field: how its value is read, and what an editor may know of it.

    Args:
        parser: from the plain value of YAML to the value of the field; raises ``values.refuse(...)``.
        schema: keywords of JSON Schema 2020-12.
    """

    def __init__(self, parser: Callable[[Any], Any], **schema: Any) -> None:
        self._parser = parser
        self._schema = schema

    def __get_pydantic_core_schema__(self, source: Any, handler: Handler) -> Any:
        return _core().no_info_plain_validator_function(self._parser)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Handler) -> dict[str, Any]:
        return dict(self._schema)


class Text(Kind):
    """A kind that is written as text.

    Args:
        parser: as for ``Kind``.
        pattern: a regular expression that the whole text matches.
    """

    def __init__(self, parser: Callable[[Any], Any], pattern: str = "", **schema: Any) -> None:
        anchored = {"pattern": f"^{pattern}$"} if pattern else {}
        super().__init__(parser, type="string", **anchored, **schema)


class Whole(Kind):
    """A whole number within bounds, both included.

    Args:
        what: the noun in messages, with its article.
        low: the smallest.
        high: the largest.
        rule: the rule that sets the bounds.
    """

    def __init__(self, what: str, low: int, high: int, rule: str | None = None) -> None:
        super().__init__(values.whole_number(what, low, high, rule), type="integer", minimum=low, maximum=high)


class Word(Kind):
    """One word out of a few.

    Args:
        words: those that messages name.
        aliases: other spellings that are taken too, each with the word that it means.
    """

    def __init__(self, *words: str, aliases: Mapping[str, str] | None = None) -> None:
        super().__init__(values.one_of(*words, aliases=aliases), enum=[*words, *(aliases or ())])


ResourceId = Annotated[str, Text(values.parse_id, values.ID.pattern)]
Name = Annotated[str, Text(values.parse_name, values.NAME.pattern, minLength=2, maxLength=128)]
Description = Annotated[str, Text(values.parse_description, minLength=2, maxLength=256)]
Prefix = Annotated[IPv4Network, Text(values.parse_prefix, rf"{_ADDRESS}/[0-9]{{1,2}}", examples=["192.168.0.0/16"])]
Destination = Annotated[
    IPv4Network, Text(values.parse_destination, rf"{_ADDRESS}(/[0-9]{{1,2}})?", examples=["172.16.0.0/16"])
]
HostAddress = Annotated[IPv4Address, Text(values.parse_address, _ADDRESS, examples=["192.168.1.10"])]
InterfaceAddress = Annotated[
    IPv4Interface, Text(values.parse_interface_address, rf"{_ADDRESS}/[0-9]{{1,2}}", examples=["10.10.10.1/30"])
]
MacAddress = Annotated[str, Text(values.parse_mac, "([0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}")]
InterfaceName = Annotated[str, Text(values.parse_interface_name, values.INTERFACE.pattern, examples=["eth1"])]
NamespaceName = Annotated[str, Text(values.parse_namespace_name, values.NAMESPACE.pattern)]
CpuMask = Annotated[
    int,
    Kind(values.parse_cpu_mask, type=["string", "integer"], pattern=f"^{values.CPU_MASK.pattern}$", examples=["ff"]),
]
"""Bit n is processor n."""
Vni = Annotated[int, Whole("a VNI", 1, names.MAX_VNI)]
Bandwidth = Annotated[int, Text(values.parse_bandwidth, values.BANDWIDTH.pattern, examples=["10Mbps", "1Gbps"])]
"""In bits per second."""
DurationMs = Annotated[int, Text(values.parse_duration_ms, values.DURATION.pattern, examples=["200ms", "2s"])]
"""In milliseconds."""
Flag = Annotated[bool, Kind(values.parse_flag, type="boolean")]


class Adapted:
    """Metadata of a field that may be written in a second way beside its own.

    Args:
        adapt: turns what is written in the second way into the first, and leaves the rest alone.
        second: from the schema of the field to that of the second way.
    """

    def __init__(self, adapt: Callable[[Any], Any], second: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self._adapt = adapt
        self._second = second

    def __get_pydantic_core_schema__(self, source: Any, handler: Handler) -> Any:
        return function_before(self._adapt, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Handler) -> dict[str, Any]:
        own = dict(handler(schema))
        return {"anyOf": [own, self._second(own)]}


class Choice:
    """Metadata of a field that is one of several types, told apart by a tag.

    Args:
        types: by tag.
        tag_of: the tag of a value that ``check`` has let through.
        check: refuses, in words of the language, what is none of them.
    """

    def __init__(
        self, types: Mapping[str, Any], tag_of: Callable[[Any], str | None], check: Callable[[Any], Any]
    ) -> None:
        self._types, self._tag_of, self._check = types, tag_of, check

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        choices = {tag: handler.generate_schema(one) for tag, one in self._types.items()}
        return function_before(self._check, _core().tagged_union_schema(choices, self._tag_of))


EmptyMap = Adapted(lambda value: {} if value is None else value, lambda own: {"type": "null"})
"""A key without a value, its entries commented out say, is an empty map."""
EmptyList = Adapted(lambda value: () if value is None else value, lambda own: {"type": "null"})
"""Likewise an empty list."""
OneOrMany = Adapted(lambda value: [value] if isinstance(value, str) else value, lambda own: dict(own["items"]))
"""A list whose only item may stand without the brackets."""
