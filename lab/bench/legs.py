"""How many flows move when one of several legs goes, beside the kernel's next-hop groups (performance.md, T10).

No clock is involved, so that there are no rounds: each of the legs goes once, and every flow is asked where it goes,
before and after. In the forwarder it is the real program that is asked, in the kernel its own answer for that packet.
"""

import struct
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise
from pathlib import Path

from dataplane.datapath.simulate import Simulator, simulator
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
)
from dataplane.model.forwarding import Table as Routes
from lab.bench import sandbox
from lab.bench.model import BenchError, Context, Result, Table
from lab.bench.row import Kind, Row

OURS, RESILIENT, PLAIN = "dataplane", "kernel, resilient group", "kernel, plain group"
NOTE = (
    "Flows that move: 5,000 TCP flows to one address, each leg goes once. Ideal is that the flows of the leg that goes "
    "move and no other. The kernel is asked by `ip route get` with `fib_multipath_hash_policy` 1, its resilient group "
    "has 256 buckets as ours has, and a leg goes by `ip nexthop delete`."
)
TITLE = "flows that move when one of several legs goes, beside the kernel's groups"
ROUNDS = QUICK_ROUNDS = 1
ROWS = {"T10": Kind.COUNTED}
_GOAL = 1.01
"""T10: times the flows of the leg that goes."""
_COLUMNS = ("group", "legs", "moved, times ideal", "of legs that stayed")
_COUNTS = (2, 3, 4)
_FLOWS = 5_000
_MAC = "02:00:00:00:00:01"
_TARGET = IPv4Address("198.51.100.7")
_WIDE = "198.51.100.0/24"
_RULES = {RESILIENT: "type resilient buckets 256", PLAIN: ""}
_SYSCTLS = {"ip_forward": 1, "fib_multipath_hash_policy": 1, "conf/all/rp_filter": 0, "conf/default/rp_filter": 0}
_IPV4_TCP = struct.Struct("!BBHHHBBH4s4sHH16x")


@dataclass(frozen=True, slots=True)
class Moved:
    """What one kind of group did, over all legs.

    Args:
        count: of legs.
        due: flows of the legs that went.
        moved: flows that had another leg afterwards.
        strays: those of them whose leg had stayed.
    """

    name: str
    count: int
    due: int
    moved: int
    strays: int


Flow = tuple[IPv4Address, int]
"""Source address and port."""
Ask = Callable[[int | None], list[int]]
"""The leg that is gone (None: none is) -> the leg of each flow."""


def measure(context: Context) -> Result:
    """Every kind of group with every number of legs.

    Raises:
        BenchError: the kernel refuses something.
    """
    context.say(f"{_FLOWS:,} flows, legs that go")
    sandbox.enter()
    found = counted()
    lines = [(one.name, str(one.count), f"{one.moved / one.due:.2f}", f"{one.strays:,}") for one in found]
    table = Table("Flows that move when one leg goes", _COLUMNS, lines)
    return Result({"moved_flows": [asdict(one) for one in found]}, [table], (NOTE,), list(rows(found)))


def rows(found: Sequence[Moved]) -> Iterator[Row]:
    """One for each number of legs."""
    for count in dict.fromkeys(one.count for one in found):
        shares = {one.name: one.moved / one.due for one in found if one.count == count}
        (own,) = (one for one in found if one.count == count and one.name == OURS)
        peers = "".join(f"; {name} {shares[name]:.2f}" for name in (PLAIN, RESILIENT))
        yield Row(
            f"T10/{count}",
            f"flows moved when one of {count} legs goes, times those of that leg",
            "the ideal",
            (shares[OURS],),
            _GOAL,
            is_at_most=True,
            note=f"{own.strays} flows of legs that stayed{peers}",
            kind=Kind.COUNTED,
        )


def counted() -> list[Moved]:
    """Every kind of group with every number of legs, in the thread's network namespace.

    Raises:
        BenchError: the kernel refuses something.
    """
    flows = [(IPv4Address("10.0.0.1") + number % 250, 32_768 + number) for number in range(_FLOWS)]
    found = []
    for count in _COUNTS:
        with _ours(count, flows) as ask:
            found.append(_moved(OURS, count, ask))
        for name in _RULES:
            with _kernel(name, count, flows) as ask:
                found.append(_moved(name, count, ask))
    return found


def _moved(name: str, count: int, ask: Ask) -> Moved:
    before = ask(None)
    due = moved = strays = 0
    for leg in range(1, count + 1):
        pairs = list(zip(before, ask(leg), strict=True))
        if any(new == leg for _, new in pairs) or set(before) != set(range(1, count + 1)):
            raise BenchError(f"{name}: leg {leg} of {count} has flows although it is gone, or another has none")
        due += before.count(leg)
        moved += sum(old != new for old, new in pairs)
        strays += sum(old != new for old, new in pairs if old != leg)
    return Moved(name, count, due, moved, strays)


@contextmanager
def _ours(count: int, flows: list[Flow]) -> Iterator[Ask]:
    members = range(1, count + 1)
    state = Forwarding(
        {1: Port(1, 1_000_001, "", "", PortKind.INSTANCE, "", 1, _MAC)},
        {1: Routes(1, "", "", {IPv4Network("0.0.0.0/0"): Leaf(LeafKind.GROUP, 1)})},
        {n: Hop(n, How.PEER, 1, 1_000_001, _MAC, _MAC, 1500, leg=n) for n in members},
        {1: Group(1, "", GroupMode.LOAD_BALANCE, tuple(Member(n, n) for n in members))},
        dict.fromkeys(members, LegState.UP),
    )
    frames = [_frame(flow) for flow in flows]
    with simulator(state) as there:
        yield lambda gone: _chosen(there, frames, gone)


def _chosen(there: Simulator, frames: list[bytes], gone: int | None) -> list[int]:
    if gone is not None:
        there.set_leg(gone, LegState.DOWN)
    found = [there.run("tc", 1, frame).steps[0].hop for frame in frames]
    if gone is not None:
        there.set_leg(gone, LegState.UP)
    return found


def _frame(flow: Flow) -> bytes:
    source, port = flow
    head = [0x45, 0, 40, 1, 0, 64, 6, 0, source.packed, _TARGET.packed, port, 443]
    total = sum(struct.unpack("!10H", _IPV4_TCP.pack(*head)[:20]))
    head[7] = 0xFFFF - (total % 0xFFFF)  # in ones' complement, 0 and 0xFFFF are the same number
    mac = bytes.fromhex(_MAC.replace(":", ""))
    return mac + mac + b"\x08\x00" + _IPV4_TCP.pack(*head)


@contextmanager
def _kernel(name: str, count: int, flows: list[Flow]) -> Iterator[Ask]:
    """Links, next hops, a group and a route, in the namespace that the thread is in."""
    for key, value in _SYSCTLS.items():
        Path(f"/proc/sys/net/ipv4/{key}").write_text(str(value), encoding="ascii")
    links = ["in", *(f"leg{n}" for n in range(1, count + 1))]
    _ip([f"link add {link} up type veth peer name far-{link}" for link in links])
    _ip([f"link set far-{link} up" for link in links] + ["address add 10.0.0.254/24 dev in"])
    try:
        yield lambda gone: _answers(name, count, flows, gone)
    finally:
        _ip([f"link delete {link}" for link in links])


def _answers(name: str, count: int, flows: list[Flow], gone: int | None) -> list[int]:
    members = range(1, count + 1)
    group = "/".join(map(str, members))
    _ip([f"nexthop add id {n} via 169.254.0.1 dev leg{n} onlink" for n in members])
    _ip([f"nexthop add id 100 group {group} {_RULES[name]}", f"route add {_WIDE} nhid 100"])
    if gone is not None:
        _ip([f"nexthop delete id {gone}"])
    ports = f"ipproto 6 dport 443 to {_TARGET}"
    said = _ip([f"route get {ports} from {source} iif in sport {port}" for source, port in flows])
    words = said.split()
    found = [int(word.removeprefix("leg")) for before, word in pairwise(words) if before == "dev"]
    _ip([f"route delete {_WIDE}", "nexthop delete id 100", *(f"nexthop delete id {n}" for n in members if n != gone)])
    if len(found) != len(flows):
        raise BenchError(f"the kernel answered for {len(found)} of {len(flows)} flows: {said[:500]}")
    return found


def _ip(lines: list[str]) -> str:
    done = subprocess.run(["ip", "-batch", "-"], input="\n".join(lines), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"`ip -batch` refused one of {lines[:2]}...: {done.stderr[-500:]}")
    return done.stdout
