"""A packet's journey through the forwarder's program, router by router, in the words of the configuration. Pure.

Owns the frame that is sent, and what a run means. Must never decide what a router does: that is the program's answer.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from dataplane.model.forwarding import Forwarding, Leaf, LeafKind, LegState, Port, PortKind, Reason, Verdict
from dataplane.model.path import Packet
from dataplane.model.simulation import Hook, Run, Step

RunProgram = Callable[[Hook, int, bytes], Run]

_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17}
_DONT_FRAGMENT = 0x4000
_ETHER_IPV4 = b"\x08\x00"
_STRANGER = "02:00:00:00:00:00"
"""The sender's MAC where any may send."""
_MOST_RUNS = 256
"""More than any TTL lasts."""


@dataclass(frozen=True, slots=True)
class Router:
    """One router on the way.

    Args:
        port: the port that the packet came in by, by its name.
        table: the name of the table that was looked up; empty where none was.
        route: the prefix that decided; None where none did.
        says: what the route says, in words.
        reason: what became of the packet here.
    """

    namespace: str
    port: str
    table: str
    route: IPv4Network | None
    says: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Journey:
    """The whole way.

    Args:
        end: where the packet is at last: the name of a port that it left by, or of the one where it ended.
        is_delivered: it reached its destination, or left our routers by a line or tunnel.
        ttl: when it ended.
    """

    hook: Hook
    routers: tuple[Router, ...]
    verdict: Verdict
    reason: Reason
    end: str
    is_delivered: bool
    ttl: int


def frame_of(port: Port, packet: Packet) -> bytes:
    """A packet as it comes in by a port; the checksum of what is inside stays zero, since no router looks at it."""
    macs = (port.mac, port.source_mac or _STRANGER)
    inside = _payload(packet)
    inside += bytes(max(0, packet.size_bytes - _IPV4.size - len(inside)))
    flags = _DONT_FRAGMENT if packet.size_bytes else 0
    head = [0x45, 0, _IPV4.size + len(inside), 1, flags, packet.ttl, _PROTOCOLS[packet.protocol], 0]
    ends = (packet.source.packed, packet.destination.packed)
    head[7] = _checksum(_IPV4.pack(*head, *ends))
    ether = b"".join(bytes.fromhex(mac.replace(":", "")) for mac in macs) + _ETHER_IPV4
    return ether + _IPV4.pack(*head, *ends) + inside


def _payload(packet: Packet) -> bytes:
    ports = struct.pack("!HH", packet.sport, packet.dport)
    if packet.protocol == "tcp":
        return ports + bytes(8) + b"\x50\x02" + bytes(6)  # a SYN without options
    return ports + b"\x00\x08" + bytes(2) if packet.protocol == "udp" else b"\x08" + bytes(7)


def _checksum(header: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(header) // 2}H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def travel(state: Forwarding, run_program: RunProgram, hook: Hook, port: Port, packet: Packet) -> Journey:
    """Send a packet in by a port, and follow it: at tc, the program at the far end of each link goes on."""
    frame, routers, at = frame_of(port, packet), list[Router](), port
    for _ in range(_MOST_RUNS):
        run = run_program(hook, at.id, frame)
        routers += _routers(state, at, run, packet.destination)
        frame = run.frame
        out = state.ports.get(run.out)
        far = state.hops[run.steps[-1].hop].far if run.verdict is Verdict.FORWARD else 0
        if out is None or far not in state.ports:
            break
        at = state.ports[far]
    ttl = frame[8 + 14]
    if out is None:
        return Journey(hook, tuple(routers), run.verdict, run.reason, routers[-1].port, False, ttl)
    is_delivered = out.kind is not PortKind.INSTANCE or _is_address_of(state, out, packet.destination)
    return Journey(hook, tuple(routers), run.verdict, run.reason, out.name, is_delivered, ttl)


def _is_address_of(state: Forwarding, port: Port, address: IPv4Address) -> bool:
    """Whether an instance behind a port has an address: its own next hop is called by it."""
    return any(name == f"{port.name} {address}" for kind, name in state.used if kind == "next_hop" and " " in name)


def _routers(state: Forwarding, first: Port, run: Run, destination: IPv4Address) -> list[Router]:
    if not run.steps:
        return [Router(first.namespace, first.name, "", None, "", run.reason)]
    last = len(run.steps) - 1
    return [
        _router(state, step, destination, run.reason if number == last else Reason.CONTINUED)
        for number, step in enumerate(run.steps)
    ]


def _router(state: Forwarding, step: Step, destination: IPv4Address, reason: Reason) -> Router:
    port, table = state.ports[step.port], state.tables.get(step.table)
    route = None
    if table is not None:
        matches = [prefix for prefix in table.routes if destination in prefix]
        route = max(matches, key=lambda prefix: prefix.prefixlen, default=None)
    says = leaf_words(state, step.leaf) if step.leaf is not None else ""
    if step.group and step.hop:
        says += f", bucket {step.bucket}: {hop_words(state, step.hop)}"
    return Router(port.namespace, port.name, table.name if table is not None else "", route, says, reason)


def leaf_words(state: Forwarding, leaf: Leaf) -> str:
    """What a route says, in the words of the configuration."""
    if leaf.kind is LeafKind.HOP:
        return hop_words(state, leaf.value)
    if leaf.kind is LeafKind.GROUP:
        group = state.groups[leaf.value]
        members = ", ".join(state.leg_names[member.leg] for member in group.members)
        return f"{group.mode.value.replace('_', ' ')} over {members}"
    return Reason(leaf.value).words


def hop_words(state: Forwarding, number: int) -> str:
    """Where a next hop leads to: a leg by its router interface, everything else by its port; on a line, to whom."""
    hop = state.hops[number]
    port = state.ports.get(hop.port)
    if hop.leg:
        gone = "" if state.legs[hop.leg] is LegState.UP else f" ({state.legs[hop.leg].name.lower()})"
        return f"by {state.leg_names[hop.leg]}{gone}"
    via = f" via {hop.via}" if hop.via is not None else ""
    return f"to {port.name}{via}" if port is not None else Reason.BLACKHOLE.words
