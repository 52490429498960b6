"""Kernel objects in the kernel's own words, as `ip` would print them, so that a plan can be compared with the host.

Pure: text out of values. One function per kind; it never asks the kernel and never shortens a name.
"""

from collections.abc import Sequence
from dataclasses import fields
from ipaddress import IPv4Network

from dataplane.model import names
from dataplane.model.kernel import (
    Address,
    Classifier,
    DeviceQueues,
    FarEnd,
    FdbEntry,
    ForwarderState,
    KernelObject,
    KernelRoute,
    Namespace,
    Neighbour,
    Nexthop,
    NexthopGroup,
    PortProgram,
    RouteType,
    Rule,
    Shaper,
    Sysctl,
    UnderlayFilter,
    Veth,
    VethEnd,
    VlanLink,
    VxlanLink,
)

_EVERYTHING = IPv4Network("0.0.0.0/0")
_MAIN_TABLE = 254


def describe(item: KernelObject) -> str:
    """One line that names the object and all that it asks for, its namespace included."""
    match item:
        case Namespace():
            return _namespace(item)
        case Sysctl():
            return _sysctl(item)
        case Veth():
            return _veth(item)
        case VlanLink():
            return _vlan(item)
        case VxlanLink():
            return _vxlan(item)
        case FdbEntry():
            return _fdb(item)
        case UnderlayFilter():
            return _filter(item)
        case Address():
            return _address(item)
        case Neighbour():
            return _neighbour(item)
        case Nexthop():
            return _nexthop(item)
        case NexthopGroup():
            return _group(item)
        case KernelRoute():
            return _route(item)
        case Rule():
            return _rule(item)
        case Shaper():
            return _shaper(item)
        case Classifier():
            return _classifier(item)
        case ForwarderState():
            return _state(item)
        case PortProgram():
            return _program(item)
        case FarEnd():
            made = "" if item.is_ready else ", not yet"
            return f"{_where(item.namespace)}{item.ifname} ready for XDP (gro on, tx-checksumming off){made}"
        case DeviceQueues():
            return _queues(item)


def describe_change(before: KernelObject, after: KernelObject) -> str:
    """The object as it shall be, and what differs: ``... (value: 0 -> 1)``."""
    differing = [
        _difference(field.name, getattr(before, field.name), getattr(after, field.name))
        for field in fields(after)
        if getattr(before, field.name, None) != getattr(after, field.name)
    ]
    return f"{describe(after)} ({', '.join(differing) or 'written again'})"


def listed(words: Sequence[str], most: int = 10) -> str:
    """``a, b and 98 more``: a list that stays a sentence however long it is.

    Args:
        most: how many are named.
    """
    named = ", ".join(words[:most])
    return named if len(words) <= most else f"{named} and {len(words) - most:,} more"


def kind_of(item: KernelObject) -> str:
    """The noun of an object, as its key has it: ``route``, ``veth``."""
    return str(item.key[0])


def namespace_of(item: KernelObject) -> str:
    """The namespace that an object lives in, by its reference; a veth is in that of its first end."""
    if isinstance(item, Namespace):
        return item.name
    if isinstance(item, Veth):
        return item.ends[0].namespace if item.ends else names.HOST
    return item.namespace


def _namespace(item: Namespace) -> str:
    return f"namespace {item.name}{'' if item.up else ' with lo down'}"


def _sysctl(item: Sysctl) -> str:
    relation = ">=" if item.at_least else "="
    return f"{_where(item.namespace)}sysctl {item.name.replace('/', '.')} {relation} {item.value}"


def _veth(item: Veth) -> str:
    return f"veth {' <-> '.join(_end(end) for end in item.ends)} mtu {item.mtu}"


def _vlan(item: VlanLink) -> str:
    how = item.mode.value if item.far_ifname is None else f"{item.mode.value} by {item.far_ifname}"
    state = "" if item.up else " down"
    follows = "" if item.follows_parent else ", not as its parent is"
    return f"{_where(item.namespace)}vlan {item.vlan} {item.ifname} on {item.parent} ({how}){state}{follows}"


def _vxlan(item: VxlanLink) -> str:
    state = "" if item.up else " down"
    made = "" if item.is_static else ", not as we make it"
    return (
        f"{_where(item.namespace)}vxlan {item.ifname} vni {item.vni} local {item.local} dev {item.device} {item.mac} "
        f"mtu {item.mtu}{state}{made}"
    )


def _fdb(item: FdbEntry) -> str:
    return f"{_where(item.namespace)}fdb {item.mac} dev {item.ifname} dst {item.vtep}"


def _filter(item: UnderlayFilter) -> str:
    made = "" if item.is_whole else ", not as we make it"
    return f"{_where(item.namespace)}underlay filter on {item.device}: {len(item.admissions):,} admissions{made}"


def _end(end: VethEnd) -> str:
    return f"{_where(end.namespace)}{end.ifname} {end.mac}{'' if end.up else ' down'}"


def _address(item: Address) -> str:
    return f"{_where(item.namespace)}address {item.address} dev {item.ifname}"


def _neighbour(item: Neighbour) -> str:
    return f"{_where(item.namespace)}neighbour {item.address} lladdr {item.mac} dev {item.ifname} permanent"


def _nexthop(item: Nexthop) -> str:
    if item.ifname is None:
        return f"{_where(item.namespace)}nexthop id {item.id} blackhole"
    via = f"via {item.via} onlink " if item.via else ""
    return f"{_where(item.namespace)}nexthop id {item.id} {via}dev {item.ifname}"


def _group(item: NexthopGroup) -> str:
    members = "/".join(f"{member},{weight}" for member, weight in item.members)
    return f"{_where(item.namespace)}nexthop id {item.id} group {members} resilient buckets {item.buckets}"


def _route(item: KernelRoute) -> str:
    words = ["route"]
    if item.type is not RouteType.UNICAST:
        words.append(item.type.value)
    words.append("default" if item.destination == _EVERYTHING else str(item.destination))
    if item.nexthop is not None:
        words.append(f"nhid {item.nexthop}")
    if item.via is not None:
        words.append(f"via {item.via}")
    if item.ifname is not None:
        words.append(f"dev {item.ifname}")
    words.append(f"table {'main' if item.table == _MAIN_TABLE else item.table}")
    if item.source is not None:
        words.append(f"src {item.source}")
    if item.metric:
        words.append(f"metric {item.metric}")
    return _where(item.namespace) + " ".join(words)


def _rule(item: Rule) -> str:
    words = [f"rule {item.priority}:", f"from {item.source or 'all'}"]
    if item.destination is not None:
        words.append(f"to {item.destination}")
    if item.iif is not None:
        words.append(f"iif {item.iif}")
    words.append(f"lookup {item.table}" if item.table else "(of a kind that we do not make)")
    return _where(item.namespace) + " ".join(words)


def _shaper(item: Shaper) -> str:
    bandwidth, flow = (f"{rate:,} bit/s" if rate else "unlimited" for rate in (item.bandwidth, item.flow))
    made = "" if item.is_whole else ", not as we make it"
    return f"{_where(item.namespace)}shaper at {item.ifname}: {bandwidth}, a flow {flow}, {item.leaves:,} leaves{made}"


def _classifier(item: Classifier) -> str:
    made = "" if item.is_whole else ", not as we make it"
    ports = listed(sorted(item.ifnames)) or "no port"
    return f"{_where(item.namespace)}classifier of {ports} for {item.leaves:,} leaves{made}"


def _state(item: ForwarderState) -> str:
    state = item.forwarding
    return (
        f"{_where(item.namespace)}forwarder state: {len(state.ports):,} ports, {state.routes:,} routes, "
        f"{len(state.hops):,} next hops, {len(state.groups):,} groups"
    )


def _program(item: PortProgram) -> str:
    made = "" if item.is_current else ", not the one that is loaded"
    return f"{_where(item.namespace)}forwarder at {item.ifname} ({item.hook}){made}"


def _queues(item: DeviceQueues) -> str:
    words = [] if item.combined is None else [f"combined {item.combined}"]
    words += [] if item.rps_cpus is None else [f"rps_cpus {item.rps_cpus:x}"]
    return f"{_where(item.namespace)}queues of {item.device}: {', '.join(words)}"


def _where(namespace: str) -> str:
    return "host: " if namespace == names.HOST else f"{namespace}: "


def _difference(name: str, before: object, after: object) -> str:
    """One field of a change; of a set only how many come and go, since there may be thousands."""
    if name == "differs" and isinstance(before, tuple):
        return ", ".join(before)
    if name == "forwarding":
        return name
    if name == "rps_cpus" and isinstance(before, int) and isinstance(after, int):
        return f"{name}: {before:x} -> {after:x}"
    if isinstance(before, frozenset) and isinstance(after, frozenset):
        return f"{name}: {len(after - before):,} come, {len(before - after):,} go"
    return f"{name}: {_value(before)} -> {_value(after)}"


def _value(value: object) -> str:
    if isinstance(value, VethEnd):
        return _end(value)
    if value is None:
        return "none"
    return str(value)
