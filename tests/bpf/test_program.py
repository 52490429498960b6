"""The whole program against a plain model: verdict, reason, port and every byte, at both hooks (tests 44, 45, 59).

More: DATAPLANE_RUNS multiplies tables and packets. A failure names its seed.
"""

import os
import random
from collections import Counter
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from dataplane.datapath import forwarding_maps, libbpf
from dataplane.datapath.fib.layout import Room
from dataplane.datapath.simulate import Simulator
from dataplane.model.forwarding import FibKind, Forwarding, Leaf, LeafKind, Port, PortKind, Reason, Table
from dataplane.model.simulation import Hook
from tests.bpf.programs import filled
from tests.fakes import random_forwarding
from tests.fakes.forwarding_model import IPV4, NEVER_FORWARDED, ForwardingModel, checksum, raw
from tests.fakes.random_forwarding import Scale

RUNS = int(os.environ.get("DATAPLANE_RUNS", "1"))
SEED = int(os.environ.get("DATAPLANE_SEED", "20261120"))
WORLDS = 10
PACKETS = 10_000
TABLES = 10_000
ROUTES = 16
LOOKUPS = 5
ROOM = forwarding_maps.Sizes(16_384, 0, 64, 16, 16, 4, fib=Room(1 << 25, 16_384, 1 << 15))
"""For all tables, and what is written beside them when all change at once."""
HOOKS: tuple[Hook, ...] = ("tc", "xdp")


def differences(there: Simulator, model: ForwardingModel, hook: Hook, port: int, frame: bytes) -> tuple[Reason, str]:
    """What the program does otherwise than the model; empty where nothing is."""
    run, fate = there.run(hook, port, frame), model.decide(port, frame, is_xdp=hook == "xdp")
    found = (run.verdict, run.reason, run.frame, run.out, [step.port for step in run.steps])
    wanted = (fate.reason.verdict, fate.reason, fate.frame, fate.out, fate.routers)
    if found == wanted:
        return fate.reason, ""
    return fate.reason, f"{hook}, port {port}, {frame.hex()}:\n{found}\nand the model says\n{wanted}"


@pytest.mark.parametrize("number", range(WORLDS * RUNS))
def test_program_does_what_the_model_says(number: int) -> None:
    check_world(number, FibKind.MULTIBIT)


def test_program_does_what_the_model_says_with_an_lpm_trie() -> None:
    check_world(0, FibKind.LPM)


def check_world(number: int, fib: FibKind) -> None:
    """45, 59: at least 100,000 packets in all, of every kind; the sum of the counters is their number."""
    chance = random.Random(f"{SEED}/{number}")
    state = random_forwarding.state(chance, Scale(tables=40, routes=30, ports=48, hops=60, groups=12, legs=12))
    state = replace(state, fib=fib)
    model, met = ForwardingModel(state), Counter[Reason]()
    with filled(state) as there:
        for _ in range(PACKETS):
            port, frame = packet(chance, state)
            for hook in HOOKS if is_long_enough(frame) else HOOKS[1:]:
                reason, difference = differences(there, model, hook, port, frame)
                assert not difference, f"DATAPLANE_SEED={SEED}, world {number}, {difference}"
                met[reason] += 1
        check_counters(there, state, met)
    assert {Reason.FORWARDED, Reason.TTL, Reason.TOO_BIG, Reason.BLACKHOLE, Reason.KERNEL_ONLY} <= set(met)


def is_long_enough(frame: bytes) -> bool:
    """Whether a test run makes an skb of it: one that calls itself IP must have the header."""
    return len(frame) >= {b"\x08\x00": 34, b"\x86\xdd": 54}.get(frame[12:14], 14)


def packet(chance: random.Random, state: Forwarding) -> tuple[int, bytes]:
    """A port, and a frame that comes in by it."""
    number = chance.randrange(1, 50)
    port = state.ports.get(number)
    table = state.tables.get(port.table) if port is not None else None
    target = random_forwarding.near(chance, list(table.routes) if table is not None else [])
    return number, random_forwarding.frame(chance, port, target)


def check_counters(there: Simulator, state: Forwarding, met: Counter[Reason]) -> None:
    """Every frame raised one counter: the sum of the reasons is the number of frames (style, rule 9)."""
    counted = Counter[Reason]()
    for port in (0, *state.ports):
        assert there.unnamed_reasons(port) == 0
        counted.update({reason: count.packets for reason, count in there.counters(port).items()})
    del counted[Reason.CONTINUED]
    assert counted == met


@pytest.mark.parametrize("fib", FibKind)
@pytest.mark.parametrize("batch", range(RUNS))
def test_longest_prefix_wins_while_routes_come_and_go(batch: int, fib: FibKind) -> None:
    """44: 10,000 tables, each asked, changed, and asked again; no table sees another one's routes (R63, R88)."""
    chance = random.Random(f"{SEED}/tables/{batch}")
    routes = {table: random_routes(chance) for table in range(1, TABLES + 1)}
    with filled(replace(state_of(routes), fib=fib), ROOM if fib is FibKind.MULTIBIT else None) as there:
        for changed in (False, True):
            if changed and fib is FibKind.MULTIBIT:
                for now in routes.values():
                    change(chance, None, 0, now)
                there.fill(state_of(routes))
            for table, now in routes.items():
                if changed and fib is FibKind.LPM:
                    change(chance, there.map("dp_fib"), table, now)
                for target in targets(chance, now):
                    found = there.run("xdp", table, plain_frame(target)).steps[0].leaf
                    where = f"DATAPLANE_SEED={SEED}, batch {batch}, {table=} {IPv4Address(target)}"
                    assert found == longest(now, target), where


def targets(chance: random.Random, routes: dict[IPv4Network, Leaf]) -> list[int]:
    """Addresses to ask for, without those that are never looked up."""
    drawn = [random_forwarding.near(chance, list(routes)) for _ in range(LOOKUPS)]
    return [target for target in drawn if not any(IPv4Address(target) in network for network in NEVER_FORWARDED)]


def random_routes(chance: random.Random) -> dict[IPv4Network, Leaf]:
    return {prefix: random_leaf(chance) for prefix in random_forwarding.prefixes(chance, ROUTES)}


def random_leaf(chance: random.Random) -> Leaf:
    """One of fewer than there can be different ones."""
    return Leaf(chance.choice([LeafKind.HOP, LeafKind.GROUP]), chance.randrange(1, 10_000) << 14)


def state_of(routes: dict[int, dict[IPv4Network, Leaf]]) -> Forwarding:
    """Each table with a port of its own, of the same number."""
    mac = random_forwarding.MACS[0]
    tables = {number: Table(number, "", "", there) for number, there in routes.items()}
    ports = {number: Port(number, 0, "", "", PortKind.TRANSIT, "", number, mac) for number in routes}
    return Forwarding(ports, tables)


def change(chance: random.Random, trie: int | None, table: int, routes: dict[IPv4Network, Leaf]) -> None:
    """Routes that go, that come, and that lead elsewhere; in a trie too."""
    for prefix in [prefix for prefix in routes if chance.random() < 0.3]:
        del routes[prefix]
        if trie is not None:
            libbpf.delete(trie, forwarding_maps.fib_key(table, prefix))
    fresh = {prefix: random_leaf(chance) for prefix in random_forwarding.prefixes(chance, 3)}
    for prefix, leaf in fresh.items():
        if trie is not None:
            libbpf.update(trie, forwarding_maps.fib_key(table, prefix), forwarding_maps.leaf_value(leaf))
    routes |= fresh


def plain_frame(target: int) -> bytes:
    head = [0x45, 0, 20, 1, 0, 64, 17, 0, bytes([10, 0, 0, 1]), target.to_bytes(4)]
    head[7] = int.from_bytes(checksum(IPV4.pack(*head)))
    return raw(random_forwarding.MACS[0]) + raw(random_forwarding.MACS[9]) + b"\x08\x00" + IPV4.pack(*head)


def longest(routes: dict[IPv4Network, Leaf], target: int) -> Leaf | None:
    """The leaf of the longest prefix that an address is in, by looking at each."""
    address = IPv4Address(target)
    matches = [prefix for prefix in routes if address in prefix]
    return routes[max(matches, key=lambda prefix: prefix.prefixlen)] if matches else None
