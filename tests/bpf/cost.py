"""What a packet costs in the forwarder's program, in ns: the table of ``ebpf/DESIGN.md``, section 2.

    sudo .venv/bin/python -m tests.bpf.cost

The program as it is in service, not the traced one; so it gets a real device to come in by, in a sandbox. A figure is
the best of 300 averages: what the program takes when nobody is in the way. One destination only: the trie is in the
cache. No TTL lasts longer than the runs of one average.
"""

import random
import struct
from ipaddress import IPv4Address, IPv4Network

from dataplane.datapath import forwarding_maps as maps
from dataplane.datapath import libbpf, loader, simulate
from dataplane.model.forwarding import (
    Forwarding,
    Group,
    GroupMode,
    Leaf,
    LeafKind,
    LegState,
    Member,
    Reason,
    Table,
    stop,
)
from tests.bpf.test_groups import MAC, packet
from tests.bpf.test_limits import ANYWHERE, chain
from tests.fakes.forwarding_model import routed
from tests.netns import sandbox
from tests.netns.objects import run

AVERAGES, RUNS = 300, 200
TARGET = IPv4Address("10.9.0.1")
IFINDEX = 1_000_001
CASES = [(1, 10, False), (1, 10, True), (1, 1000, False), (1, 100_000, False), (3, 10, False), (3, 1000, False)]
CASES += [(3, 100_000, False), (8, 10, False)]


def state(routers: int, routes: int, *, has_group: bool) -> Forwarding:
    """Routers in a row, the tables of which are full of routes that lead elsewhere."""
    chance, row = random.Random(1), chain(routers, Leaf(LeafKind.HOP, routers))
    tables = {}
    for number, table in row.tables.items():
        full = dict(table.routes)
        while len(full) < routes:
            prefix = IPv4Network((chance.getrandbits(32), chance.randint(8, 28)), strict=False)
            if TARGET not in prefix:
                full[prefix] = stop(Reason.UNREACHABLE)
        full[IPv4Network("10.9.0.0/24")] = Leaf(LeafKind.GROUP, 1) if has_group else table.routes[ANYWHERE]
        tables[number] = Table(number, "", "", full)
    group = Group(1, "", GroupMode.LOAD_BALANCE, (Member(1, 1), Member(1, 2)))
    return Forwarding(row.ports, tables, row.hops, {1: group}, {1: LegState.UP, 2: LegState.UP})


def cost(program: int, hook: str, frame: bytes, runs: int) -> int:
    """The best average."""
    if hook == "xdp":
        context = struct.pack("=6I", 0, len(frame), 0, IFINDEX, 0, 0)
    else:
        context = bytes(40) + struct.pack("=I", IFINDEX) + bytes(148)
    measured = libbpf.TestRun(program, context)
    best = []
    for _ in range(AVERAGES):
        measured.run(frame, runs)
        best.append(measured.nanoseconds)
    return min(best)


def main() -> None:
    """Print the table."""
    sandbox.enter()
    run("ip", "link", "add", "cost", "index", str(IFINDEX), "type", "veth", "peer", "name", "far-cost")
    frame = routed(packet("10.0.0.1", 1, str(TARGET), 2), 255, MAC, MAC)
    others = bytes([frame[0] ^ 2]) + frame[1:]
    for routers, routes, has_group in CASES:
        full = state(routers, routes, has_group=has_group)
        sizes = maps.Sizes.of(full)
        with loader.tried(maps.spec(sizes)) as fds:
            simulate.fill(fds, full, sizes)
            xdp, tc = (
                cost(fds[name], hook, frame, RUNS // routers) for name, hook in ((maps.XDP, "xdp"), (maps.TC, "tc"))
            )
            passed = cost(fds[maps.XDP], "xdp", others, RUNS), cost(fds[maps.TC], "tc", others, RUNS)
        group = " through a group" if has_group else ""
        print(f"{routers} routers, {routes:,} routes each{group}: xdp {xdp}, tc {tc} for one; not its MAC: {passed}")


if __name__ == "__main__":
    main()
