"""Next-hop groups: fair shares, only the flows of a leg that goes move, a datagram stays together (tests 48, 51-53)."""

import random
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from dataplane.datapath.forwarding_maps import Sizes
from dataplane.datapath.simulate import Simulator
from dataplane.model.buckets import bucket_orders
from dataplane.model.forwarding import (
    BUCKETS,
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
)
from dataplane.model.simulation import Hook
from tests.bpf.programs import filled
from tests.bpf.test_program import HOOKS
from tests.fakes.forwarding_model import IPV4, checksum, raw

FLOWS = 10_000
SHARE = 0.10
MAC = "02:00:00:00:00:01"


def group(weights: list[int], mode: GroupMode = GroupMode.LOAD_BALANCE) -> Group:
    """Member n is next hop n and leg n, from 1."""
    return Group(1, "", mode, tuple(Member(n, n, weight) for n, weight in enumerate(weights, start=1)))


def towards(over: Group) -> Forwarding:
    """A port whose one route leads to a group."""
    count = len(over.members)
    hops = {n: Hop(n, How.PEER, 1, 1_000_001, MAC, MAC, 1500, leg=n) for n in range(1, count + 1)}
    return Forwarding(
        {1: Port(1, 1_000_001, "", "", PortKind.INSTANCE, "", 1, MAC)},
        {1: Table(1, "", "", {IPv4Network("0.0.0.0/0"): Leaf(LeafKind.GROUP, 1)})},
        hops,
        {1: over},
        dict.fromkeys(range(1, count + 1), LegState.UP),
    )


@contextmanager
def balanced(over: Group) -> Iterator[Simulator]:
    """Likewise, loaded."""
    with filled(towards(over)) as there:
        yield there


@pytest.mark.parametrize("hook", HOOKS)
def test_a_program_without_groups_leaves_them_to_the_kernel(hook: Hook) -> None:
    """Until it is exchanged for one that knows them: never lost, never anywhere else."""
    state = towards(group([1, 1]))
    with filled(state, replace(Sizes.of(state), has_groups=False)) as there:
        frame = packet("10.0.0.1", 1, "10.9.0.1", 2)
        found = there.run(hook, 1, frame)
        assert (found.reason, found.frame) == (Reason.KERNEL_ONLY, frame)
        assert found.steps[0].leaf == Leaf(LeafKind.GROUP, 1)


def packet(source: str, sport: int, destination: str, dport: int, *, fragment: int = 0, protocol: int = 6) -> bytes:
    payload = struct.pack("!HH", sport, dport) + bytes(16)
    return ether(source, destination, protocol, payload, fragment)


def ether(source: str, destination: str, protocol: int, payload: bytes, fragment: int = 0, ttl: int = 64) -> bytes:
    ends = IPv4Address(source).packed, IPv4Address(destination).packed
    head: list[int | bytes] = [0x45, 0, 20 + len(payload), 1, fragment, ttl, protocol, 0, *ends]
    head[7] = int.from_bytes(checksum(IPV4.pack(*head)))
    return raw(MAC) * 2 + b"\x08\x00" + IPV4.pack(*head) + payload


def flows() -> list[bytes]:
    """Flows as they are: a few clients with many ports, and many clients with one."""
    few = [packet(f"10.0.0.{n % 5}", 32_768 + n, "198.51.100.7", 443) for n in range(FLOWS // 2)]
    return few + [packet(f"10.1.{n // 200}.{n % 200}", 40_000, "198.51.100.7", 80) for n in range(FLOWS // 2)]


def chosen(there: Simulator, frames: list[bytes]) -> list[int]:
    """The next hop of each."""
    return [there.run("tc", 1, frame).steps[0].hop for frame in frames]


@pytest.mark.parametrize(
    "weights", [[1] * 2, [1] * 3, [1] * 4, [1] * 8, [1] * 64, [100, 100], [1, 3], [1, 2, 5]], ids=str
)
def test_shares_are_near_the_weights(weights: list[int]) -> None:
    """52: 10,000 flows; of 64 members each has 156, where chance alone would move more than a tenth."""
    with balanced(group(weights)) as there:
        frames = flows()
        got = Counter(chosen(there, frames))
        for number, weight in enumerate(weights, start=1):
            due = len(frames) * weight / sum(weights)
            assert abs(got[number] - due) <= max(SHARE * due, 4 * due**0.5), (number, got[number], due)
            assert there.leg_counter(number).packets == got[number]


@pytest.mark.parametrize("weights", [[1] * 2, [1] * 3, [1] * 4, [1] * 8, [1] * 64, [1, 3], [1, 2, 5]], ids=str)
def test_buckets_are_fair_exactly(weights: list[int]) -> None:
    """Each member has its due of the 256 buckets, to one; and so it is among those left when any of them goes."""
    orders = bucket_orders(group(weights))
    everyone = set(range(len(weights)))
    for gone in (None, *everyone):
        left = everyone - {gone}
        first = Counter(next(member for member in order if member in left) for order in orders)
        for member in left if gone is None or len(set(weights)) == 1 else ():
            due = BUCKETS * weights[member] / sum(weights[other] for other in left)
            assert abs(first[member] - due) <= 1, (gone, member, first[member], due)
    assert all(sorted(order) == sorted(everyone) for order in orders)


@pytest.mark.parametrize("count", [4, 8, 16, 64])
@pytest.mark.parametrize("gone", ["first half", "second half", "every second"])
def test_when_half_of_a_group_goes_the_others_share_its_buckets(count: int, gone: str) -> None:
    """Nobody takes over all of them, however those that go are chosen: not twice as much as chance would give one."""
    members = list(range(count))
    left = set({"first half": members[count // 2 :], "second half": members[: count // 2]}.get(gone, members[::2]))
    first = Counter(next(member for member in order if member in left) for order in bucket_orders(group([1] * count)))
    due = BUCKETS / len(left)
    assert set(first) == left
    assert max(first.values()) <= due + 3 * (due / 2) ** 0.5
    assert min(first.values()) >= due - 3 * (due / 2) ** 0.5


@pytest.mark.parametrize("count", [2, 3, 4, 8])
def test_only_the_flows_of_a_leg_that_goes_move(count: int) -> None:
    """53: they spread over those that stay, and come back as exactly."""
    with balanced(group([1] * count)) as there:
        frames = flows()[::5]
        before = chosen(there, frames)
        for leg in range(1, count + 1):
            for state in (LegState.DOWN, LegState.GONE):
                there.set_leg(leg, state)
                after = chosen(there, frames)
                moved = [new for old, new in zip(before, after, strict=True) if old != new]
                assert len(moved) == before.count(leg) <= len(frames) * (1 / count + 0.02)
                assert all(new == old for old, new in zip(before, after, strict=True) if old != leg)
                assert leg not in after
                assert set(moved) == set(range(1, count + 1)) - {leg}
            there.set_leg(leg, LegState.UP)
            assert chosen(there, frames) == before


def test_active_standby() -> None:
    """R50: the active has all; the standby when it is down; D2: with both down, the active as if it were up."""
    with balanced(group([1, 1], GroupMode.ACTIVE_STANDBY)) as there:
        frames = flows()[::50]
        for active, standby, expected in [
            (LegState.UP, LegState.UP, 1),
            (LegState.DOWN, LegState.UP, 2),
            (LegState.GONE, LegState.UP, 2),
            (LegState.DOWN, LegState.DOWN, 1),
            (LegState.GONE, LegState.DOWN, 2),
            (LegState.UP, LegState.DOWN, 1),
        ]:
            there.set_leg(1, active)
            there.set_leg(2, standby)
            assert set(chosen(there, frames)) == {expected}
        for leg in (1, 2):
            there.set_leg(leg, LegState.GONE)
        assert {there.run(hook, 1, frames[0]).reason for hook in HOOKS} == {Reason.BLACKHOLE}


def test_both_directions_of_a_flow_have_one_bucket() -> None:
    with balanced(group([1] * 4)) as there:
        chance = random.Random(1)
        for _ in range(500):
            one = (f"10.0.{chance.randrange(256)}.1", chance.randrange(65_536))
            other = (f"172.16.{chance.randrange(256)}.9", chance.randrange(65_536))
            buckets = {there.run("tc", 1, packet(*a, *b)).steps[0].bucket for a, b in ((one, other), (other, one))}
            assert len(buckets) == 1


def test_every_fragment_of_a_datagram_takes_one_way() -> None:
    """48: the first one too, although it has the ports; and only the addresses and the protocol count."""
    with balanced(group([1] * 4)) as there:
        ways = Counter()
        for number in range(500):
            source = f"10.0.{number // 200}.{number % 200}"
            pieces = [packet(source, 1000 + number, "198.51.100.7", 80, fragment=f) for f in (0x2000, 0x20B9, 0x0172)]
            pieces.append(ether(source, "198.51.100.7", 6, b"", 0x0173))
            hops = set(chosen(there, pieces))
            assert len(hops) == 1
            ways.update(hops)
        assert len(ways) == 4


def test_an_icmp_error_follows_the_flow_that_it_is_about() -> None:
    """51: or path MTU discovery fails for the flows that are hashed elsewhere than their errors."""
    with balanced(group([1] * 4)) as there:
        for number in range(1000):
            flow = packet("10.0.0.9", 32_768 + number, "198.51.100.7", 443)
            for kind in (3, 4, 11, 12):
                error = ether("203.0.113.1", "10.0.0.9", 1, bytes([kind, 4, 0, 0, 0, 0, 5, 120]) + flow[14:42])
                assert chosen(there, [error]) == chosen(there, [flow])
        # An echo quotes nothing, whatever its payload looks like.
        echoes = [ether("203.0.113.1", "10.0.0.9", 1, bytes([8, 0, 0, 0, 0, 0, 0, n]) + flow[14:42]) for n in range(9)]
        assert len(set(chosen(there, echoes))) == 1
