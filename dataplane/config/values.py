"""The kinds of single values that the language has: ids, prefixes, addresses, rates, durations.

Each is a parser from the plain value of YAML to the value that the models hold, with the rule and the
remedy in its refusal. Nothing here knows where in the configuration a value stands.
"""

import re
from collections.abc import Callable, Mapping
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, IPv4Network, IPv6Address
from typing import TYPE_CHECKING, Any

from dataplane.config.problem import shown

if TYPE_CHECKING:
    from pydantic_core import PydanticCustomError

REFUSED = "refused"
"""The type of our own errors among pydantic's."""

ID = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_KERNEL_WORDS = frozenset({"all", "default", "lo"})
NAME = re.compile(r"[A-Za-z\u4e00-\u9fff][-_0-9A-Za-z\u4e00-\u9fff ]{1,127}")
INTERFACE = re.compile(r"[A-Za-z0-9][-A-Za-z0-9_.]{0,14}")
NAMESPACE = re.compile(r"[A-Za-z0-9][-A-Za-z0-9_.]{0,127}")
_MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")
BANDWIDTH = re.compile(r"([0-9]{1,12})(\.[0-9]{1,6})? ?(kbps|Mbps|Gbps)")
DURATION = re.compile(r"([0-9]{1,9})(\.[0-9]{1,3})?(ms|s|m)")
CPU_MASK = re.compile(r"[0-9A-Fa-f]{1,8}(,[0-9A-Fa-f]{1,8}){0,255}")
_BITS = {"kbps": 1_000, "Mbps": 1_000_000, "Gbps": 1_000_000_000}
_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000}
MAX_BANDWIDTH = 1_000_000_000_000
"""1 Tbps, in bits/s: beyond any link, and far from where 64 bits end."""


def refuse(message: str, rule: str | None = None, remedy: str = "") -> "PydanticCustomError":
    """An error that carries its rule and its remedy through pydantic.

    Args:
        message: what is wrong, without a full stop.
        rule: the number of the rule or decision, where there is one.
        remedy: what would be right.
    """
    from pydantic_core import PydanticCustomError  # Late: whoever reads nothing does without pydantic.

    return PydanticCustomError(REFUSED, "{message}", {"message": message, "rule": rule, "remedy": remedy})


def _text(value: Any, example: str) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        raise refuse("a value is missing", None, f"write one such as {example}")
    if isinstance(value, (dict, list)):
        kind = "a map" if isinstance(value, dict) else "a list"
        raise refuse(f"{kind} stands where a single value belongs", None, f"write one such as {example}")
    if isinstance(value, (bool, int, float)):
        word = str(value).lower() if isinstance(value, bool) else str(value)
        kind = "true or false" if isinstance(value, bool) else "a number"
        raise refuse(
            f"{word} is read as {kind}, not as a text", None, f"write a value such as {example}, in quotes if need be"
        )
    raise refuse("this is not a text", None, f"write a value such as {example}")


def parse_id(value: Any) -> str:
    """The id of a resource (D13)."""
    text = _text(value, '"vpc-1"')
    if text in _KERNEL_WORDS:
        raise refuse(f"`{text}` has a meaning of its own in the kernel", "D13", "choose another id")
    if ID.fullmatch(text):
        return text
    remedy = "use 1 to 63 of a-z, 0-9 and -, with a letter or digit first and last"
    meant = re.sub("[ _.]", "-", text.lower())
    if ID.fullmatch(meant) and meant not in _KERNEL_WORDS:
        remedy += f": {meant}"
    raise refuse(f"`{shown(text)}` is not an id", "D13", remedy)


def parse_cpu_mask(value: Any) -> int:
    """Processors as the kernel writes them: hexadecimal digits, a comma between groups of eight (R132).

    YAML takes one without letters for a decimal number; its digits are meant.
    """
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else _text(value, '"ff"')
    if not CPU_MASK.fullmatch(text):
        remedy = 'write hexadecimal digits such as ff, in quotes if need be ("1e3"), or "3,ffffffff" for more than 32'
        raise refuse(f"`{shown(text)}` is not a set of processors", "R132", remedy)
    return int("".join(group.rjust(8, "0") for group in text.split(",")), 16)


def parse_name(value: Any) -> str:
    """The free-text name of a resource (R69)."""
    text = _text(value, '"Office"')
    if not NAME.fullmatch(text):
        raise refuse(
            f"the name `{shown(text)}` is not allowed",
            "R69",
            "use 2 to 128 characters: an English or Chinese letter first, then letters, digits, blanks, - and _",
        )
    return text


def parse_description(value: Any) -> str:
    """The free-text description of a resource (R69)."""
    text = _text(value, '"what it is for"')
    if not 2 <= len(text) <= 256:
        raise refuse(f"the description has {len(text)} characters", "R69", "use 2 to 256")
    if text.lower().startswith(("http://", "https://")):
        raise refuse("the description begins with http:// or https://", "R69", "begin it with a word")
    return text


def parse_address(value: Any) -> IPv4Address:
    """A bare IPv4 address."""
    text = _text(value, "192.168.1.10")
    _no_ipv6(text)
    try:
        return IPv4Address(text)
    except AddressValueError:
        remedy = (
            f"write it without its mask: {text.partition('/')[0]}" if "/" in text else "write one such as 192.168.1.10"
        )
        raise refuse(f"`{shown(text)}` is not an IPv4 address", None, remedy) from None


def parse_destination(value: Any) -> IPv4Network:
    """The prefix that a route matches; a bare address means /32 (R64)."""
    text = _text(value, "172.16.0.0/16")
    prefix = parse_prefix(text) if "/" in text else IPv4Network(parse_address(text))
    if prefix.is_multicast:
        raise refuse(f"{prefix} is multicast, which a vSwitch does not carry", "R84", "route a unicast prefix")
    if prefix.prefixlen and _is_never_routed(prefix):
        raise refuse(f"{prefix} is never routed", "D12", "route a unicast prefix outside 127/8, 169.254/16 and 240/4")
    return prefix


def _is_never_routed(prefix: IPv4Network) -> bool:
    return prefix.is_loopback or prefix.is_link_local or prefix.is_reserved


def parse_prefix(value: Any) -> IPv4Network:
    """An IPv4 prefix without host bits."""
    text = _text(value, "192.168.0.0/16")
    _no_ipv6(text)
    address, slash, mask = text.partition("/")
    if not slash:
        raise refuse(f"`{shown(text)}` has no mask", None, f"write {_with_a_mask(text)}, say")
    if not (mask.isascii() and mask.isdigit() and len(mask) <= 2 and (mask == "0" or mask[0] != "0")):
        raise refuse(f"`{shown(mask)}` is not a mask length", None, "write a number from 0 to 32 after the slash")
    try:
        network = IPv4Network((address, int(mask)), strict=False)
    except ValueError:
        raise refuse(f"`{shown(text)}` is not an IPv4 prefix", None, "write one such as 192.168.0.0/16") from None
    if str(network.network_address) != address:
        # 192.168.0.0/1 is a misprint in one of the sources, and what is meant is well known.
        meant = "192.168.0.0/16" if text == "192.168.0.0/1" else str(network)
        raise refuse(f"`{shown(text)}` has host bits set", "D11", f"write {meant}")
    return network


def _with_a_mask(text: str) -> str:
    """What an address without a mask may have meant: no more than a /24 where a /16 would have host bits."""
    try:
        address = IPv4Address(text)
    except AddressValueError:
        return "192.168.0.0/16"
    length = 16 if int(address) & 0xFFFF == 0 else 24
    return str(IPv4Network((address, length), strict=False))


def parse_interface_address(value: Any) -> IPv4Interface:
    """An address with its mask, such as 10.10.10.1/30."""
    text = _text(value, "10.10.10.1/30")
    _no_ipv6(text)
    address, _, mask = text.partition("/")
    if not (mask.isascii() and mask.isdigit() and len(mask) <= 2 and 0 < int(mask) <= 32):
        raise refuse(f"`{shown(text)}` has no mask length", "R27", f"write {shown(address)}/30")
    try:
        interface = IPv4Interface(text)
    except ValueError:
        raise refuse(f"`{shown(text)}` is not an IPv4 address with a mask", "R27", "write 10.10.10.1/30") from None
    if _is_never_routed(interface.network) or interface.is_multicast:
        # 169.254.0.1 is also the neighbour on our own transit links (D12).
        remedy = "use a unicast address outside 127/8, 169.254/16 and 240/4, 10.10.10.1/30 say"
        raise refuse(f"{interface} is no address of a line", "D12", remedy)
    return interface


def _no_ipv6(text: str) -> None:
    if ":" not in text:
        return
    try:
        IPv6Address(text.partition("/")[0])
    except ValueError:
        return
    raise refuse(f"`{shown(text)}` is IPv6, which this network does not carry", None, "write an IPv4 address or prefix")


def parse_mac(value: Any) -> str:
    """A unicast MAC address, in lower case."""
    text = _text(value, '"02:00:00:00:00:0a"').lower()
    if not _MAC.fullmatch(text):
        raise refuse(f"`{shown(text)}` is not a MAC address", None, 'write one such as "02:00:00:00:00:0a"')
    if text == "00:00:00:00:00:00":
        raise refuse(f"{text} is nobody's MAC address", "R84", 'write one such as "02:00:00:00:00:0a"')
    if int(text[:2], 16) & 1:
        raise refuse(f"{text} is not the MAC address of one host", "R84", "make its first octet even, 02 say")
    return text


def parse_interface_name(value: Any) -> str:
    """The name of a network interface on the host."""
    text = _text(value, "eth1")
    if text in _KERNEL_WORDS or not INTERFACE.fullmatch(text):
        raise refuse(
            f"`{shown(text)}` is not the name of an interface", None, "use 1 to 15 of letters, digits, -, _ and ."
        )
    return text


def parse_namespace_name(value: Any) -> str:
    """The name of an existing network namespace."""
    text = _text(value, "web")
    if not NAMESPACE.fullmatch(text):
        raise refuse(f"`{shown(text)}` is not the name of a namespace", None, "write a name of `ip netns list`")
    if text.startswith("dp-"):
        raise refuse(f"the namespace {text} is named like ours", None, "attach one that does not begin with dp-")
    return text


def parse_bandwidth(value: Any) -> int:
    """A rate in bits per second, from 10Mbps or 1Gbps; decimal units."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise refuse(f"{shown(value)} has no unit", None, "write 10Mbps or 1Gbps")
    text = _text(value, "10Mbps")
    match = BANDWIDTH.fullmatch(text)
    if match is None:
        raise refuse(f"`{shown(text)}` is not a bandwidth", None, "write a number and kbps, Mbps or Gbps: 10Mbps")
    unit = _BITS[match.group(3)]
    bits = int(match.group(1)) * unit + _fraction(match.group(2), unit)
    if not 1_000 <= bits <= MAX_BANDWIDTH:
        raise refuse(f"a bandwidth of {shown(text)} is out of range", None, "use 1kbps to 1000Gbps")
    return bits


def bandwidth_text(bits: int) -> str:
    """A rate in bits per second as the file writes it: 1.5Gbps."""
    unit = next(name for name in ("Gbps", "Mbps", "kbps") if bits >= _BITS[name] or name == "kbps")
    return f"{bits / _BITS[unit]:.12g}{unit}"


def parse_duration_ms(value: Any) -> int:
    """A duration in whole milliseconds, from 200ms, 2s or 1m."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise refuse(f"{shown(value)} has no unit", None, f"write {shown(value)}s or {shown(value)}ms")
    text = _text(value, "2s")
    match = DURATION.fullmatch(text)
    if match is None:
        raise refuse(f"`{shown(text)}` is not a duration", None, "write a number with ms, s or m: 200ms, 2s")
    unit = _MILLISECONDS[match.group(3)]
    return int(match.group(1)) * unit + _fraction(match.group(2), unit)


def _fraction(digits: str | None, unit: int) -> int:
    """The whole part of ``.digits`` times a unit, without floating point."""
    return int(digits[1:]) * unit // 10 ** (len(digits) - 1) if digits else 0


def whole_number(what: str, low: int, high: int, rule: str | None = None) -> Callable[[Any], int]:
    """A parser of whole numbers within bounds, both included.

    Args:
        what: the noun in the message, with its article.
        low: the smallest.
        high: the largest.
        rule: the rule that sets the bounds.
    """

    def parse(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise refuse(f"`{shown(value)}` is not {what}", rule, f"write a number from {low} to {high}, no quotes")
        if not low <= value <= high:
            raise refuse(f"{value} is not {what}", rule, f"write a number from {low} to {high}")
        return value

    return parse


def parse_flag(value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise refuse(f"`{shown(value)}` is neither true nor false", None, "write true or false, without quotes")
    return value


def one_of(*words: str, aliases: Mapping[str, str] | None = None) -> Callable[[Any], str]:
    """A parser of one word out of a few.

    Args:
        words: what it returns one of.
        aliases: other spellings, each with the word that it means; messages do not offer them.
    """
    meant = {word: word for word in words} | dict(aliases or {})

    def parse(value: Any) -> str:
        if not isinstance(value, str) or value not in meant:
            raise refuse(f"`{shown(value)}` is not known here", None, f"write {', '.join(words[:-1])} or {words[-1]}")
        return meant[value]

    return parse


def parse_uid(value: Any) -> str:
    """The number of an account, kept as text so that leading zeros stay."""
    if isinstance(value, int) and not isinstance(value, bool):
        raise refuse(f"{value} is read as a number, not as a text", None, f'write "{value}" in quotes')
    text = _text(value, '"12345678"')
    if not (text.isascii() and text.isdigit() and len(text) <= 32):
        raise refuse(f"`{shown(text)}` is not the number of an account", None, "write 1 to 32 digits in quotes")
    return text


def parse_account_reference(value: Any) -> str:
    """An account as the other side knows it: its id here, or its uid."""
    return parse_uid(value) if isinstance(value, int) else parse_id(value)


def parse_version(value: Any) -> int:
    """The version of the configuration language."""
    if value == "1":
        raise refuse('"1" is read as a text, not as a number', None, "write version: 1, without quotes")
    if value != 1 or isinstance(value, (bool, float)):
        raise refuse(f"version {shown(value)} of the language is not known", None, "write version: 1")
    return 1
