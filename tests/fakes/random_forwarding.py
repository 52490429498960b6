"""Random states of the forwarder, and random frames for them: small worlds, so that things meet.

What is drawn is not what the compiler would make: every combination is allowed that the maps can hold.
"""

import random
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from dataplane.model.forwarding import (
    Forwarding,
    Group,
    GroupMode,
    Hop,
    How,
    Leaf,
    LeafKind,
    LegState,
    Member,
    Port,
    PortKind,
    Reason,
    Table,
    Verdict,
    stop,
)
from tests.fakes.forwarding_model import IPV4, checksum, raw

STOPS = [reason for reason in Reason if reason.verdict is not Verdict.FORWARD]
MACS = [f"02:00:00:00:{number:02x}:{other:02x}" for number in range(4) for other in range(8)]
BASES = [
    int(IPv4Address(text)) for text in ("10.0.0.0", "10.1.2.0", "192.168.1.0", "172.16.0.0", "100.64.0.0", "8.8.8.0")
]
PROTOCOLS = (6, 17, 1, 132, 47, 89)


@dataclass(frozen=True)
class Scale:
    """How many of each there are."""

    tables: int
    routes: int
    ports: int
    hops: int
    groups: int
    legs: int


def prefixes(chance: random.Random, most: int) -> list[IPv4Network]:
    """Prefixes that lie in each other, and next to each other; all lengths from 0 to 32."""
    found = {}
    for _ in range(chance.randrange(most + 1)):
        length = chance.choice([0, 8, 12, 16, 20, 22, 24, 24, 25, 28, 30, 31, 32, 32, chance.randrange(33)])
        network = IPv4Network((address(chance), length), strict=False)
        found[network] = None
    return list(found)


def address(chance: random.Random) -> int:
    """An address near others."""
    if chance.random() < 0.05:
        return chance.getrandbits(32)
    return chance.choice(BASES) + (chance.randrange(8) if chance.random() < 0.5 else chance.getrandbits(12))


def near(chance: random.Random, networks: list[IPv4Network]) -> int:
    """An address in one of the prefixes, at one of its edges, or just outside."""
    if not networks or chance.random() < 0.2:
        return address(chance)
    network = chance.choice(networks)
    first, last = int(network.network_address), int(network.broadcast_address)
    return chance.choice([first, last, first - 1, last + 1, chance.randint(first, last)]) % 2**32


def state(chance: random.Random, scale: Scale) -> Forwarding:
    """A state of that size; ids start at 1."""
    hops = {number: _hop(chance, number, scale) for number in range(1, scale.hops + 1) if chance.random() < 0.95}
    groups = {number: _group(chance, number, scale) for number in range(1, scale.groups + 1)}
    tables = {}
    for number in range(1, scale.tables + 1):
        routes = {prefix: _leaf(chance, scale) for prefix in prefixes(chance, scale.routes)}
        tables[number] = Table(number, "", str(number), routes)
    ports = {number: _port(chance, number, scale) for number in range(1, scale.ports + 1) if chance.random() < 0.95}
    legs = {number: chance.choice(list(LegState)) for number in range(1, scale.legs + 1)}
    return Forwarding(ports, tables, hops, groups, legs)


def _leaf(chance: random.Random, scale: Scale) -> Leaf:
    if chance.random() < 0.25:
        return stop(chance.choice(STOPS))
    if scale.groups and chance.random() < 0.3:
        return Leaf(LeafKind.GROUP, chance.randint(1, scale.groups))
    return Leaf(LeafKind.HOP, chance.randint(1, scale.hops))


def _port(chance: random.Random, number: int, scale: Scale) -> Port:
    return Port(
        number,
        1_000_000 + number,
        "",
        str(number),
        PortKind.INSTANCE,
        str(number),
        chance.randrange(scale.tables + 1) if chance.random() < 0.1 else chance.randint(1, scale.tables),
        "" if chance.random() < 0.03 else MACS[number % 8],
        IPv4Address(BASES[0] + number % 8) if chance.random() < 0.5 else None,
        MACS[8 + number % 8] if chance.random() < 0.5 else "",
    )


def _hop(chance: random.Random, number: int, scale: Scale) -> Hop:
    how = chance.choice([How.PEER] * 12 + [How.REDIRECT, How.LINE, How.LINE, How.TUNNEL, How.BLACKHOLE])
    return Hop(
        number,
        how,
        0 if how is How.BLACKHOLE else (port := chance.randint(1, scale.ports)),
        0 if how is How.BLACKHOLE else 1_000_000 + port,
        "" if how is How.LINE or chance.random() < 0.03 else chance.choice(MACS),
        "" if chance.random() < 0.03 else chance.choice(MACS),
        chance.choice([1500, 1500, 1400, 576, 9000, 65_535]),
        chance.randint(1, scale.ports) if chance.random() < 0.6 else 0,
        chance.randint(0, scale.legs),
        IPv4Address(address(chance)) if how is How.LINE and chance.random() < 0.7 else None,
    )


def _group(chance: random.Random, number: int, scale: Scale) -> Group:
    count = chance.randint(1, 4)
    legs = chance.sample(range(1, scale.legs + 1), count)
    members = tuple(Member(chance.randint(1, scale.hops), leg, chance.choice([1, 1, 1, 100])) for leg in legs)
    return Group(number, "", chance.choice(list(GroupMode)), members)


def frame(chance: random.Random, port: Port | None, target: int) -> bytes:
    """A packet that a port may take, more often than not, and that has one thing wrong with it otherwise."""
    mac = raw(port.mac) if port is not None and port.mac else raw(MACS[0])
    sender = raw(port.source_mac) if port is not None and port.source_mac else raw(MACS[9])
    source = int(port.source) if port is not None and port.source is not None else address(chance)
    protocol = chance.choice(PROTOCOLS)
    payload = _payload(chance, protocol)
    length = 20 + len(payload)
    head: list[int | bytes] = [0x45, chance.getrandbits(8), length, chance.getrandbits(16), 0]
    head[4] = chance.choice([0, 0, 0, 0x4000, 0x4000, 0x2000, chance.randrange(1, 0x2000), 0x8000])
    ttl = chance.choice([64, 64, 64, 255, 12, 9, 8, 7, 3, 2, 1, 0])
    head += [ttl, protocol, 0, source.to_bytes(4), target.to_bytes(4)]
    wrong = chance.choice(_WRONGS) if chance.random() < 0.2 else ""
    if wrong == "mac":
        mac = raw(chance.choice(MACS))
    elif wrong == "sender":
        sender = raw(chance.choice(MACS))
    elif wrong == "source":
        head[8] = address(chance).to_bytes(4)
    elif wrong == "martian":
        head[8 + chance.randrange(2)] = IPv4Address(chance.choice(_MARTIANS)).packed
    elif wrong == "length":
        head[2] = chance.choice([0, 19, 20, length - 1, length + 1, 65_535])
    elif wrong == "header":
        head[0] = chance.getrandbits(8)
    head[7] = int.from_bytes(checksum(IPV4.pack(*head)))
    if wrong == "checksum":
        head[7] = int(head[7]) ^ 1 << chance.randrange(16)
    kind = chance.choice(_KINDS) if wrong == "kind" else b"\x08\x00"
    return mac + sender + kind + IPV4.pack(*head) + payload + bytes(max(0, chance.choice([0, 46]) - length))


_WRONGS = ("mac", "sender", "source", "martian", "length", "header", "checksum", "kind")
_KINDS = (b"\x86\xdd", b"\x08\x06", b"\x81\x00", b"\x88\xa8", b"\x88\xcc", b"\x00\x04")
_MARTIANS = ("0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "239.255.255.255", "255.255.255.255", "240.0.0.1")


def _payload(chance: random.Random, protocol: int) -> bytes:
    size = chance.choice([8, 8, 8, 8, 28, 100, 0, 3, 556, 557, 1380, 1381, 1480, 1481])
    if protocol == 1 and chance.random() < 0.5:
        quoted = IPV4.pack(0x45, 0, 60, 1, 0, 63, 6, 0, address(chance).to_bytes(4), address(chance).to_bytes(4))
        ports = struct.pack("!HH", chance.randrange(3) + 1000, chance.randrange(3) + 80)
        return (bytes([chance.choice([3, 11, 0, 8, 5]), 0, 0, 0, 0, 0, 0, 0]) + quoted + ports)[
            : chance.choice([40, 32, 30, 28])
        ]
    return (struct.pack("!HH", chance.randrange(3) + 1000, chance.randrange(3) + 80) + bytes(size))[:size]
