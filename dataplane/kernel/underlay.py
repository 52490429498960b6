"""The underlay filter as text for `nft`, and out of what `nft` prints. Pure.

Three sets hold what may come: the admissions, and the hosts and the (host, VNI) pairs in them, which only tell why a
packet was dropped. The rules carry a digest of their own text as a comment, so that a rule that was changed by hand
shows, however the version of `nft` prints rules.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address
from typing import Any

from dataplane.kernel.nft import TABLE
from dataplane.kernel.ownership import UNDERLAY_MARK
from dataplane.model import names
from dataplane.model.vxlan import Admission, UnderlayFilter

# Where things stand behind the UDP header of 8 bytes, in bits from its beginning: the VXLAN header has 8 bytes, the
# inner Ethernet header 14 (RFC 7348, section 5).
_VXLAN_FLAGS = "@th,64,8"
_VNI = "@th,96,24"
_INNER_TYPE = "@th,224,16"
_INNER_SOURCE = "@th,336,32"

_HOOK = {"type": "filter", "hook": "input", "prio": -300, "policy": "accept"}
# No word of the language of `nft`, of whatever version: newer ones know `vxlan`, for one.
_HOOK_CHAIN, _ADMIT_CHAIN = "input", "admit"
_ACCEPTED, _HOSTS, _TUNNELS = "accepted", "hosts", "tunnels"
_SETS = {
    _ACCEPTED: f"typeof ip saddr . {_VNI} . {_INNER_SOURCE}; flags interval;",
    _HOSTS: "type ipv4_addr;",
    _TUNNELS: f"typeof ip saddr . {_VNI};",
}
_PLAIN_DEVICE = re.compile(r'[^"\\*\s]{1,15}')


class Reason(Enum):
    """Why a VXLAN packet was dropped: the name of its counter, and the words that `status` has for it."""

    WRONG_DEVICE = ("wrong_device", "by another device than the underlay's")
    UNKNOWN_HOST = ("unknown_host", "from an address that no host of this network has")
    NOT_IPV4 = ("not_ipv4", "with something else than IPv4 inside")
    WRONG_VNI = ("wrong_vni", "with a VNI that the sending host has nothing to do with")
    WRONG_SOURCE = ("wrong_source", "from an inner address that is not behind the sending host")
    MALFORMED = ("malformed", "too short, or without a VNI")

    @property
    def counter(self) -> str:
        return self.value[0]

    @property
    def words(self) -> str:
        return self.value[1]


Element = tuple[str | int, ...]
"""An element of a set: an address, a VNI, first and last of a range; as many of them as the set has."""
Elements = Mapping[str, frozenset[Element]]


@dataclass(slots=True)
class Present:
    """What stands in a table of ours.

    Args:
        device: that the rules name; empty where they name none.
        elements: by set.
        is_whole: chains and rules are as we write them, and there is nothing else.
    """

    device: str = ""
    elements: dict[str, frozenset[Element]] = field(default_factory=dict)
    is_whole: bool = False

    def as_filter(self) -> UnderlayFilter:
        """In the model's words."""
        admissions = frozenset(
            Admission(IPv4Address(vtep), int(vni), IPv4Address(first), IPv4Address(last))
            for vtep, vni, first, last in self.elements.get(_ACCEPTED, ())
        )
        is_consistent = self.elements == elements_of(admissions)
        return UnderlayFilter(self.device, admissions, is_whole=self.is_whole and is_consistent)


def is_plain_device(ifname: str) -> bool:
    """Whether a name stands for itself in a rule: a star at its end would stand for many devices."""
    return _PLAIN_DEVICE.fullmatch(ifname) is not None


def elements_of(admissions: Iterable[Admission]) -> dict[str, frozenset[Element]]:
    """What the sets hold for these admissions."""
    accepted = frozenset((str(one.vtep), one.vni, int(one.first), int(one.last)) for one in admissions)
    return {
        _ACCEPTED: accepted,
        _HOSTS: frozenset((vtep,) for vtep, *_ in accepted),
        _TUNNELS: frozenset((vtep, vni) for vtep, vni, *_ in accepted),
    }


def script(wanted: UnderlayFilter, present: Present | None) -> str:
    """The commands that make the filter as wanted, in one transaction.

    What is whole is changed by as little as differs: refilling a set of 10,000 takes seconds, and its counters go on.
    What is not whole is made anew.
    """
    elements = elements_of(wanted.admissions)
    lines: list[str] = []
    if present is None or not present.is_whole:
        lines += [f"add table ip {TABLE}", f"delete table ip {TABLE}", *_declarations(), *_rule_lines(wanted.device)]
        present = Present(wanted.device, {name: frozenset() for name in _SETS})
    elif present.device != wanted.device:
        lines += [f"flush chain ip {TABLE} {_ADMIT_CHAIN}", *_rule_lines(wanted.device, [_ADMIT_CHAIN])]
    for name in _SETS:
        lines += _elements_line("delete", name, present.elements[name] - elements[name])
        lines += _elements_line("add", name, elements[name] - present.elements[name])
    return "\n".join(lines) + "\n"


def removal() -> str:
    """The commands that take the filter away; fine where it is gone."""
    return f"add table ip {TABLE}\ndelete table ip {TABLE}\n"


def _declarations() -> Iterator[str]:
    yield f'table ip {TABLE} {{ comment "{UNDERLAY_MARK}";'
    yield from (f"counter {reason.counter} {{ }}" for reason in Reason)
    yield from (f"set {name} {{ {kind} }}" for name, kind in _SETS.items())
    yield f"chain {_ADMIT_CHAIN} {{ }}"
    yield f"chain {_HOOK_CHAIN} {{ type filter hook input priority {_HOOK['prio']}; policy accept; }}"
    yield "}"


def rules(device: str) -> dict[str, tuple[str, ...]]:
    """The rules of each chain.

    A rule whose expression reaches past the end of a packet does not match, so that nothing is accepted but by the rule
    that says so, and the last one drops.
    """
    sender, tunnel = "ip saddr", f"ip saddr . {_VNI}"
    is_good = f"{_VXLAN_FLAGS} & 0x08 == 0x08 {_INNER_TYPE} == 0x0800"
    return {
        _HOOK_CHAIN: (f"udp dport {names.VXLAN_PORT} jump {_ADMIT_CHAIN}",),
        _ADMIT_CHAIN: (
            f'iifname != "{device}" {_drop(Reason.WRONG_DEVICE)}',
            f"{is_good} {tunnel} . {_INNER_SOURCE} @{_ACCEPTED} accept",
            f"{sender} != @{_HOSTS} {_drop(Reason.UNKNOWN_HOST)}",
            f"{_VXLAN_FLAGS} & 0x08 != 0x08 {_drop(Reason.MALFORMED)}",
            f"{_INNER_TYPE} != 0x0800 {_drop(Reason.NOT_IPV4)}",
            f"{tunnel} != @{_TUNNELS} {_drop(Reason.WRONG_VNI)}",
            f"{tunnel} . {_INNER_SOURCE} != @{_ACCEPTED} {_drop(Reason.WRONG_SOURCE)}",
            _drop(Reason.MALFORMED),
        ),
    }


def _drop(reason: Reason) -> str:
    return f"counter name {reason.counter} drop"


def _rule_lines(device: str, chains: Sequence[str] = (_ADMIT_CHAIN, _HOOK_CHAIN)) -> Iterator[str]:
    written = rules(device)
    for chain in chains:
        yield from (f'add rule ip {TABLE} {chain} {rule} comment "{_digest(rule)}"' for rule in written[chain])


def _digest(rule: str) -> str:
    return f"{names.MARK_PREFIX}{hashlib.blake2s(rule.encode(), digest_size=8).hexdigest()}"


def _elements_line(verb: str, name: str, elements: Iterable[Element]) -> list[str]:
    listed = ", ".join(_element(element) for element in sorted(elements))
    return [f"{verb} element ip {TABLE} {name} {{ {listed} }}"] if listed else []


def _element(element: Element) -> str:
    *key, first, last = element if len(element) == 4 else (*element, None, None)
    if first is not None:
        key.append(first if first == last else f"{first}-{last}")
    return " . ".join(str(part) for part in key)


def parse(records: Iterable[Mapping[str, Any]]) -> Present:
    """What stands in a table, out of the records that `nft` prints."""
    present = Present()
    chains: dict[str, Mapping[str, Any]] = {}
    comments: dict[str, list[str]] = {_HOOK_CHAIN: [], _ADMIT_CHAIN: []}
    seen: set[tuple[str, str]] = set()
    is_readable = True
    for record in records:
        for kind, value in record.items():
            if kind == "rule":
                comments.setdefault(value["chain"], []).append(value.get("comment", ""))
                present.device = present.device or _device_in(value)
                continue
            if kind not in ("metainfo", "table"):
                seen.add((kind, str(value.get("name"))))
            if kind == "chain":
                chains[value["name"]] = value
            elif kind == "set" and value["name"] in _SETS:
                elements, is_clear = _elements(value)
                present.elements[value["name"]] = elements
                is_readable = is_readable and is_clear
    written = {chain: [_digest(rule) for rule in texts] for chain, texts in rules(present.device).items()}
    is_hooked = all(chains.get(_HOOK_CHAIN, {}).get(key) == value for key, value in _HOOK.items())
    present.is_whole = is_readable and is_hooked and comments == written and seen == _everything()
    return present


def _everything() -> set[tuple[str, str]]:
    """Kind and name of all that is in a whole table."""
    declared = {("counter", reason.counter) for reason in Reason} | {("set", name) for name in _SETS}
    return declared | {("chain", _HOOK_CHAIN), ("chain", _ADMIT_CHAIN)}


def _device_in(rule: Mapping[str, Any]) -> str:
    """The device that a rule is about; empty where it is about none."""
    for expression in rule.get("expr", ()):
        match = expression.get("match", {}) if isinstance(expression, Mapping) else {}
        if match.get("left") == {"meta": {"key": "iifname"}} and isinstance(match.get("right"), str):
            return str(match["right"])
    return ""


def _elements(record: Mapping[str, Any]) -> tuple[frozenset[Element], bool]:
    """The elements of a set, and whether all of them are of the kind that we write."""
    found: set[Element] = set()
    is_clear = True
    for printed in record.get("elem", ()):
        element = _read_element(record["name"], printed)
        if element is None:
            is_clear = False
        else:
            found.add(element)
    return frozenset(found), is_clear


def _read_element(name: str, printed: Any) -> Element | None:
    """One element; None where it is not of our kind (one with a time limit, a prefix, a range of hosts)."""
    parts = printed.get("concat") if isinstance(printed, Mapping) else [printed]
    match (name, parts):
        case ("hosts", [str(vtep)]):
            return (vtep,)
        case ("tunnels", [str(vtep), int(vni)]):
            return (vtep, vni)
        case ("accepted", [str(vtep), int(vni), int(single)]):
            return (vtep, vni, single, single)
        case ("accepted", [str(vtep), int(vni), {"range": [int(first), int(last)]}]):
            return (vtep, vni, first, last)
    return None


def drops(records: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Packets by the words of their reason, out of the counters that `nft` prints; only those with any."""
    words = {reason.counter: reason.words for reason in Reason}
    counted = [record["counter"] for record in records if "counter" in record]
    return {words[one["name"]]: int(one["packets"]) for one in counted if one["name"] in words and one["packets"]}
