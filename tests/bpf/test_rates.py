"""The limiter's buckets, one packet at a time and by a clock of the test's own: exactly what D4 says, at both hooks.

What shapers make of it with real streams is in ``tests/netns/test_rates.py``.
"""

import mmap
import random
import struct
from collections import Counter
from dataclasses import dataclass

import pytest

from dataplane.datapath import flows, libbpf, limit_maps
from dataplane.datapath.forwarding_maps import Entries
from dataplane.datapath.limiter import LimitCount, counts, tick_ns, write
from dataplane.datapath.simulate import Simulator
from dataplane.model.forwarding import Reason
from dataplane.model.limit import BURST_NS, QUEUE_NS, Limit
from dataplane.model.simulation import Hook
from tests.bpf.flood import CAP_BITS_S, flood
from tests.bpf.rates import FLOW_BITS_S, LEG, START_NS, TCP, UDP, frame, limited
from tests.bpf.test_program import HOOKS


@dataclass
class Bucket:
    """What D4 says of one flow, at 1,000 ns a byte."""

    paid_until: int = 0
    waits: bool = False

    def offer(self, now: int, size: int, *, is_tcp: bool) -> Reason:
        ahead = max(0, self.paid_until - now)
        if ahead > BURST_NS and (not is_tcp or ahead > BURST_NS + QUEUE_NS):
            return Reason.LIMIT
        self.paid_until = max(now, self.paid_until) + size * 1_000
        # Who waits goes on waiting until its bucket is full: then its queue is empty, and nobody overtakes.
        self.waits = ahead > BURST_NS or (self.waits and ahead > 0)
        return Reason.SHAPED if self.waits else Reason.FORWARDED


def as_seen(reason: Reason, hook: Hook) -> tuple[Reason, bool]:
    """At tc what waits is forwarded, by a leaf; XDP gives it to the kernel, which chooses one."""
    if hook == "tc":
        return (Reason.FORWARDED, True) if reason is Reason.SHAPED else (reason, False)
    return reason, False


def sent(there: Simulator, hook: Hook, what: bytes, count: int, port: int = 1) -> Counter[Reason]:
    """What becomes of so many equal packets at one moment."""
    return Counter(there.run(hook, port, what).reason for _ in range(count))


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("protocol", [TCP, UDP])
def test_r117_d4_a_flow_gets_its_burst_and_then_its_rate_and_not_a_byte_more(hook: Hook, protocol: int) -> None:
    """R117, R118: against a model, packet by packet, the clock going on by chance."""
    chance = random.Random(7)
    now, model, said = START_NS, Bucket(), Counter[Reason]()
    with limited({LEG: Limit(FLOW_BITS_S, 0, 64)}) as there:
        for _ in range(3_000):
            now += chance.choice([0, 0, 20_000, 400_000, 1_000_000]) if chance.random() < 0.998 else 200_000_000
            there.set_clock(now)
            size = chance.choice([40, 600, 1500])
            wanted = model.offer(now, size, is_tcp=protocol == TCP)
            found = there.run(hook, 1, frame(size, protocol))
            assert (found.reason, bool(there.leaf)) == as_seen(wanted, hook), (now - START_NS, size)
            said[wanted] += 1
        count = counts(there.map("dp_limit_count"))[LEG]
    assert (count.delayed_packets, count.dropped_packets) == (said[Reason.SHAPED], said[Reason.LIMIT])
    assert said[Reason.FORWARDED] > 100 and said[Reason.LIMIT] > 100
    assert bool(said[Reason.SHAPED]) == (protocol == TCP)


@pytest.mark.parametrize("hook", HOOKS)
def test_r118_each_5_tuple_has_its_own_rate_and_fragments_share_one(hook: Hook) -> None:
    """R118, D4, test 49: all fragments of two ends are one flow, whatever ports they show."""
    with limited({LEG: Limit(FLOW_BITS_S, 0, 64)}) as there:
        assert sent(there, hook, frame(1000), 60) == {Reason.FORWARDED: 51, Reason.LIMIT: 9}
        assert sent(there, hook, frame(1000, sport=3), 60) == {Reason.FORWARDED: 51, Reason.LIMIT: 9}
        first = [frame(1000, sport=number, fragment=0x2000) for number in range(30)]
        later = [frame(1000, sport=number, fragment=10) for number in range(30)]
        fates = Counter(there.run(hook, 1, one).reason for one in (*first, *later))
        assert fates == {Reason.FORWARDED: 51, Reason.LIMIT: 9}


@pytest.mark.parametrize("hook", HOOKS)
def test_d4_a_full_table_never_opens_the_cap(hook: Hook) -> None:
    """55: a table of four, more flows at one moment: the rest share one bucket, which is counted and has an end."""
    with limited({LEG: Limit(FLOW_BITS_S, 0, 64)}, flow_table=4) as there:
        own = Counter(there.run(hook, 1, frame(1000, sport=number)).reason for number in range(4))
        assert own == {Reason.FORWARDED: 4} and overflow(there) == 0
        shared = Counter(there.run(hook, 1, frame(1000, sport=100 + number)).reason for number in range(300))
        assert shared == {Reason.FORWARDED: 51, Reason.LIMIT: 249} and overflow(there) == 300
        # 56: the four are as they were, however many asked for their places.
        assert sent(there, hook, frame(1000, sport=0), 60) == {Reason.FORWARDED: 50, Reason.LIMIT: 10}
        assert overflow(there) == 300
        # An entry whose time has come is worth nothing to its flow: it is free.
        there.set_clock(START_NS + 5_000_000_000)
        assert sent(there, hook, frame(1000, sport=999), 51) == {Reason.FORWARDED: 51} and overflow(there) == 300


def test_a_flood_of_new_flows_harms_none_that_keeps_to_its_cap_and_opens_none() -> None:
    """55, 56, in short (`python -m tests.bpf.flood` is the million): also in a table that is much too small."""
    with limited({LEG: Limit(CAP_BITS_S, 0, 64)}, flow_table=256) as there:
        result = flood(there, 20_000)
        assert result.overflow > 0, "the table was not too small"
        assert result.honest_lost == 0
        assert 0.9 < result.greedy_share <= 1.01


def overflow(there: Simulator) -> int:
    return counts(there.map("dp_limit_count")).get(LEG, LimitCount()).overflow_packets


@pytest.mark.parametrize("hook", HOOKS)
def test_r21_a_leg_that_is_full_has_everything_queued_until_it_is_not(hook: Hook) -> None:
    """R21, D5: also UDP, and of every flow; none is dropped here, since the shaper shares fairly."""
    with limited({LEG: Limit(0, FLOW_BITS_S, 64)}) as there:
        many = [frame(1000, protocol, number) for number in range(15) for protocol in (TCP, UDP)]
        fates = [(there.run(hook, 1, one).reason, bool(there.leaf)) for one in many * 3]
        assert fates == [as_seen(Reason.FORWARDED, hook)] * 51 + [as_seen(Reason.SHAPED, hook)] * 39
        there.set_clock(START_NS + 60_000_000)  # 30 ms of its burst are still spent
        assert there.run(hook, 1, many[0]).reason is as_seen(Reason.SHAPED, hook)[0]
        there.set_clock(START_NS + 1_000_000_000)
        assert (there.run(hook, 1, many[0]).reason, there.leaf) == (Reason.FORWARDED, 0)


def test_each_flow_that_waits_has_a_leaf_of_its_own_while_there_are_any() -> None:
    """A leaf is held while its flow sends, and free 200 ms later; where all are taken, it is shared and counted."""
    with limited({LEG: Limit(FLOW_BITS_S, 0, 16)}, flow_table=4096) as there:
        leaves = [leaf_of(there, number) for number in range(4)]
        assert len(set(leaves)) == 4 and all(0 < leaf <= 16 for leaf in leaves)
        assert counts(there.map("dp_limit_count"))[LEG].shared_packets == 0
        assert [leaf_of(there, number, 1) for number in range(4)] == leaves
        more = [leaf_of(there, number) for number in range(4, 40)]
        assert set(leaves + more) == set(range(1, 17))
        assert counts(there.map("dp_limit_count"))[LEG].shared_packets >= 24
        there.set_clock(START_NS + 2_000_000_000)
        before = counts(there.map("dp_limit_count"))[LEG].shared_packets
        leaf_of(there, 1_000)
        assert counts(there.map("dp_limit_count"))[LEG].shared_packets == before


def leaf_of(there: Simulator, sport: int, count: int = 52) -> int:
    """Where a flow of TCP waits, having sent more than its burst."""
    sent(there, "tc", frame(1000, TCP, sport), count)
    return there.leaf


def test_a_leg_without_a_limit_and_one_with_another_are_left_alone() -> None:
    """The same 5-tuple by another leg is another flow."""
    with limited({2: Limit(FLOW_BITS_S, 0, 64)}, legs=2) as there:
        assert sent(there, "tc", frame(1000), 200) == {Reason.FORWARDED: 200}
        assert sent(there, "tc", frame(1000), 60, port=2) == {Reason.FORWARDED: 51, Reason.LIMIT: 9}
        assert there.counters(2)[Reason.LIMIT].packets == 9 and there.leg_counter(2).packets == 51


def test_xdp_charges_each_leg_once_and_drops_at_the_router_of_the_leg() -> None:
    """A walk ends before a second leg with a limit: each is paid at most once, by the program of one router."""
    with limited({2: Limit(FLOW_BITS_S, 0, 64)}, legs=3) as there:
        assert sent(there, "xdp", frame(1000), 60) == {Reason.FORWARDED: 51, Reason.LIMIT: 9}
        assert there.counters(2)[Reason.LIMIT].packets == 9 and there.counters(1) == {
            Reason.CONTINUED: there.counters(1)[Reason.CONTINUED]
        }
        # TCP that has to wait is the kernel's from the first router on, and pays at its leg's own.
        assert sent(there, "xdp", frame(1000, TCP, 9), 60) == {Reason.FORWARDED: 51, Reason.SHAPED: 9}
        assert counts(there.map("dp_limit_count"))[2].delayed_packets == 0
    with limited({1: Limit(FLOW_BITS_S, 0, 64), 3: Limit(FLOW_BITS_S, 0, 64)}, legs=3) as there:
        run = there.run("xdp", 1, frame(1000))
        assert (run.reason, run.out, len(run.steps)) == (Reason.FORWARDED, 12, 2)  # at the door of the third router


def test_r106_a_limit_changes_under_traffic_and_the_next_packet_has_it() -> None:
    """R106: what was spent stays spent."""
    with limited({LEG: Limit(FLOW_BITS_S, 0, 64)}) as there:
        assert sent(there, "tc", frame(1000), 60)[Reason.FORWARDED] == 51
        there.set_clock(START_NS + 20_000_000)
        change(there, Limit(FLOW_BITS_S * 10, 0, 64))
        assert sent(there, "tc", frame(1000), 400)[Reason.FORWARDED] == 191  # 19 ms of the burst left, at 100 us each
        change(there, Limit(0, 0, 64))
        assert sent(there, "tc", frame(1000), 400) == {Reason.FORWARDED: 400}


def change(there: Simulator, limit: Limit) -> None:
    write(there.map("dp_limit"), Entries(1, struct.pack("=I", LEG), limit_maps.limit_value(limit)))


def test_the_flow_table_is_read_as_it_was_written() -> None:
    """For `top`: 5-tuple, leg, bytes of IP that were let through, and whether it is throttled."""
    with limited({LEG: Limit(FLOW_BITS_S, 0, 64)}) as there:
        sent(there, "tc", frame(1000, TCP, 4711), 60)
        sent(there, "tc", frame(100, UDP, 53), 2)
        fd = there.map("dp_flow")
        size = libbpf.map_info(fd).max_entries * 128
        with mmap.mmap(fd, size, prot=mmap.PROT_READ) as memory:
            table = flows.Flows(memory)
            found = {flow.sport: flow for flow in table}
            assert table.room == 64 and set(found) == {4711, 53}
            heavy, light = found[4711], found[53]
            assert (str(heavy.source), str(heavy.destination), heavy.dport, heavy.protocol) == (
                "10.0.0.1",
                "10.9.0.1",
                2,
                TCP,
            )
            assert (heavy.leg, heavy.bytes, heavy.tat_ns) == (LEG, 60_000, START_NS + 60_000_000)
            assert heavy.leaf and heavy.is_throttled(START_NS) and not heavy.is_throttled(START_NS + 60_000_000)
            assert (light.bytes, light.leaf, light.is_throttled(START_NS)) == (200, 0, False)
            before, now, after = flows._jiffies(), table.now_ns(), flows._jiffies()
            assert before - 1 <= now / tick_ns() <= after + 2
