"""What a flip costs, however many routes lie behind the leg: one store, and one next hop (performance.md, T7; test 68).

Each size is a network of its own in a sandbox of its own, with two circuits that share all of its routes. What is
timed are the steps themselves, and beside them the `ip` command and our whole command.
"""

import mmap
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import IPv4Network

from dataplane.agent.session import Session
from dataplane.agent.store import Store
from dataplane.cli.context import DEFAULT_RUN, DEFAULT_STATE
from dataplane.config import Source, load_sources
from dataplane.datapath import legs, libbpf
from dataplane.kernel.driver import KernelDriver
from dataplane.model import names
from dataplane.model.forwarding import LegState
from dataplane.model.kernel import Nexthop
from dataplane.plan.action import Action, Verb
from lab.bench import sandbox
from lab.bench.model import BenchError, Context, Result, Table
from lab.bench.row import Kind, Row, size_word
from lab.bench.statistics import END_TO_END, Quartiles, paired_ratios
from lab.child import in_child

TITLE = "a leg that goes and comes back, with one route behind it and with many"
ROUNDS, QUICK_ROUNDS = 15, 3
ROWS = {"T7": Kind.END_TO_END}

STORE, AGAIN, CALL = "one byte by mmap", "the same again", "one byte by bpf(2)"
NEXT_HOP = "next hop, our driver"
IP, COMMAND = "`ip nexthop replace`", "the whole order, verified"
SIZES = (1, 100, 10_000)
GOAL = 1_000
"""T7: times faster than `ip nexthop replace`."""
_STORES = 1_000
_ORDERS = 3
"""A whole order takes seconds with the most routes behind it: that many rounds of it will do."""
_VPC = names.vpc_namespace("vpc")
_NOTE = (
    "A flip is half of a way down and back. The driver's is one netlink message for a group of two legs (two for three "
    "legs, six for four), with the socket and the namespace that it opens for it. The whole order is what "
    "`datapath leg` does without starting Python: read the state, compile, observe, flip, verify, save."
)

Samples = dict[tuple[int, str], list[float]]
"""(routes, what) -> seconds in each round."""


def network(routes: int) -> str:
    """Two circuits that share some routes."""
    first = int(IPv4Network("20.0.0.0/8").network_address)
    ways = [IPv4Network((first + 256 * n, 24)) for n in range(routes)]
    listed = ", ".join(f"{{destination: {to}, next_hop: {{load_balance: [ri-a0, ri-a1]}}}}" for to in ways)
    lines = [
        "version: 1\ndatapath: {hook: tc}\naccounts: {corp: {uid: '1'}}\nregions: {r: {zones: {a: {}}}}",
        "quotas: {custom_routes_per_table: 20000}\naccess_points: {ap: {region: r}}",
        "vpcs:\n  vpc:\n    account: corp\n    region: r\n    cidr: 192.168.0.0/16",
        "    vswitches: {vsw: {zone: a, cidr: 192.168.1.0/24}}\n    instances: {i: {vswitch: vsw}}",
        f"    route_tables: {{system: {{routes: [{listed}]}}}}\nphysical_connections:",
        *(f"  pc-{n}: {{account: corp, access_point: ap, device: line{n}}}" for n in range(2)),
        "vbrs:",
        *(
            f"  vbr-{n}: {{account: corp, physical_connection: pc-{n}, vlan: 9, local_ip: 10.10.{n}.1/30, "
            f"peer_ip: 10.10.{n}.2}}"
            for n in range(2)
        ),
        "peering_connections:",
        *(
            f"  pcx-{n}: {{initiator: {{router_interface: ri-v{n}, vbr: vbr-{n}}}, "
            f"acceptor: {{router_interface: ri-a{n}, vpc: vpc}}}}"
            for n in range(2)
        ),
    ]
    return "\n".join(lines) + "\n"


def measure(context: Context) -> Result:
    """Every size, one after the other.

    Raises:
        BenchError: a network cannot be applied, or a flip fails.
    """
    samples: Samples = {}
    for size in SIZES:
        context.say(f"{size:,} routes behind the leg")
        found, _ = in_child(lambda size=size: (_in_sandbox(size, context.rounds), []))  # type: ignore[misc]
        samples |= {(size, what): seconds for what, seconds in found.items()}
    return Result(document(samples), [table(samples)], (_NOTE,), list(rows(samples)))


def rows(samples: Samples) -> Iterator[Row]:
    """How much faster than ``ip`` at each size, and how little the number of routes changes."""
    for size in SIZES:
        store, again, peer = (samples[size, what] for what in (STORE, AGAIN, IP))
        medians = (1e6 * statistics.median(seconds) for seconds in (store, peer))
        yield Row(
            f"T7/{size_word(size)}",
            f"a leg flipped, at {size:,} routes behind it",
            "`ip nexthop replace`",
            tuple(paired_ratios(peer, store)),
            GOAL,
            note=" us beside ".join(f"{median:,.2f}" for median in medians) + " us",
            kind=Kind.END_TO_END,
            twins=tuple(paired_ratios(again, store)),
            size=size,
        )
    few, many = (samples[size, STORE] for size in (SIZES[0], SIZES[-1]))
    yield Row(
        "T7/growth",
        f"a flip with {SIZES[-1]:,} routes behind the leg, times that with one",
        "ours with one route",
        tuple(paired_ratios(many, few)),
        END_TO_END[1],
        is_at_most=True,
        note="independent: no more than what the same thing measured twice may differ by",
        kind=Kind.END_TO_END,
        twins=tuple(paired_ratios(samples[SIZES[0], AGAIN], few)),
    )


def document(samples: Samples) -> dict[str, object]:
    """All of it."""
    return {
        f"{size}/{what}": Quartiles.of([1e6 * s for s in seconds]).document()
        for (size, what), seconds in samples.items()
    }


def table(samples: Samples) -> Table:
    """Medians in microseconds, and how many times faster than `ip` each is with the most routes."""
    kinds = list(dict.fromkeys(what for _, what in samples))
    rows = []
    for what in kinds:
        medians = {size: statistics.median(samples[size, what]) for size in SIZES}
        ratio = statistics.median(samples[SIZES[-1], IP]) / medians[SIZES[-1]]
        goal = f">= {GOAL:,}" if what == STORE else ""
        rows.append((what, *(f"{1e6 * medians[size]:,.2f}" for size in SIZES), f"{ratio:,.1f}", goal))
    columns = ("flip, microseconds", *(f"{size:,} routes" for size in SIZES), "times ip", "goal")
    return Table("A flip, by the routes behind the leg", columns, rows)


def _in_sandbox(size: int, rounds: int) -> dict[str, list[float]]:
    sandbox.enter()
    for n in range(2):
        _run("ip", "link", "add", f"line{n}", "type", "veth", "peer", "name", f"far{n}")
        _run("ip", "link", "set", f"line{n}", "up")
    session = Session(DEFAULT_STATE, DEFAULT_RUN)
    report = session.apply(load_sources([Source("network.yaml", network(size))]))
    if not report.is_done:
        raise BenchError(f"the network with {size} routes cannot be applied: {report.failures[:1]}")
    leg = Store(DEFAULT_STATE).load().book.numbers["leg", "ri-a0"]
    found: dict[str, list[float]] = {}
    with _variants(session, leg) as variants:
        for number in range(rounds):
            for what, (flip, count) in variants.items():
                if what == COMMAND and number >= _ORDERS:
                    continue
                found.setdefault(what, []).append(_timed(flip, count))
    return found


def _timed(flip: Callable[[bool], None], count: int) -> float:
    """Seconds of one flip."""
    began = time.perf_counter_ns()
    for _ in range(count):
        flip(True)
        flip(False)
    return (time.perf_counter_ns() - began) / (2 * count) / 1e9


@contextmanager
def _variants(session: Session, leg: int) -> Iterator[Mapping[str, tuple[Callable[[bool], None], int]]]:
    """What is timed, and how often in a round."""
    fd = legs.legs_map_fd()
    if fd is None:
        raise BenchError("the forwarder is not loaded")
    driver, (own, other) = KernelDriver(), _places()
    offset, key = legs.leg_offset(leg), leg.to_bytes(4, sys.byteorder)

    def replace(is_down: bool) -> None:
        (outcome,) = driver.perform([Action(Verb.CHANGE, other if is_down else own)])
        if outcome.error is not None:
            raise BenchError(outcome.error)

    def by_ip(is_down: bool) -> None:
        item = other if is_down else own
        _run(*f"ip -n {_VPC} nexthop replace id {item.id} via {item.via} dev {item.ifname} onlink proto 219".split())

    def order(is_down: bool) -> None:
        if not session.order_leg("ri-a0", "down" if is_down else "auto").report.is_done:
            raise BenchError("the leg cannot be taken down")

    try:
        with mmap.mmap(fd, legs.legs_map_bytes(fd)) as stored:
            yield {
                STORE: (lambda is_down: stored.__setitem__(offset, int(is_down)), _STORES),
                AGAIN: (lambda is_down: stored.__setitem__(offset, int(is_down)), _STORES),
                CALL: (lambda is_down: libbpf.update(fd, key, bytes([LegState(is_down)])), _STORES),
                NEXT_HOP: (replace, 5),
                IP: (by_ip, 3),
                COMMAND: (order, 1),
            }
    finally:
        os.close(fd)


def _places() -> tuple[Nexthop, Nexthop]:
    """The place of the leg, as it is, and as it is while the leg is down."""
    seen = KernelDriver().observe().objects.values()
    places = [item for item in seen if isinstance(item, Nexthop) and names.parse_group_number(item.id) is not None]
    first, second = sorted(places, key=lambda item: item.id)
    return first, Nexthop(first.namespace, first.id, second.ifname, second.via)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"`{' '.join(command)}` failed with {done.returncode}: {done.stderr}")
