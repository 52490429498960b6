"""The multibit FIB while it changes: one processor looks addresses up, we write on the other (44, P6)."""

import random
import threading
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv4Network

from dataplane.datapath import forwarding_maps as maps
from dataplane.datapath import libbpf
from dataplane.datapath.fib.change import MOST_NARROW, Content
from dataplane.datapath.fib.layout import Room
from dataplane.datapath.forwarder import Forwarder
from dataplane.model.forwarding import Forwarding, Leaf, Reason, stop
from tests.bpf.programs import filled
from tests.bpf.test_program import plain_frame, state_of

STEPS = 5
RUNS = 100
SIZES = maps.Sizes(64, 0, 64, 16, 16, 4, fib=Room(1 << 19, 64, 1024))
HOT = [int(IPv4Address("10.0.0.1")) + 256 * n for n in range(4)]
"""Addresses that every change is about."""
ANYWHERE = IPv4Network("0.0.0.0/0")
EVEN, ODD, NEVER = stop(Reason.UNREACHABLE), stop(Reason.PROHIBITED), stop(Reason.BLACKHOLE)
Routes = Mapping[IPv4Network, Leaf]


def test_no_packet_sees_a_state_that_never_was() -> None:
    """A small table and a large one, changed in part and as a whole: an address is led as before, or as it is to be.

    Every look-up is counted by its answer. Of the answers that are in the memory, most are right at no time.
    """
    chance = random.Random(7)
    large = {prefix(chance): NEVER for _ in range(MOST_NARROW + 500)}
    assert len(large) > MOST_NARROW
    with filled(state(chance, large, 0), SIZES) as there:
        forwarder = Forwarder({name: there.map(name) for name in maps.spec(SIZES).maps}, SIZES)
        is_over, is_round = threading.Event(), threading.Semaphore(0)
        slow_down(forwarder, lambda: wait_for(is_round))

        def ask() -> None:
            asked = libbpf.TestRun(there.map(maps.XDP))
            while not is_over.is_set():
                for port in (1, 2):
                    there.raw("xdp", port, plain_frame(HOT[0]))  # says by which port the next ones come
                    for address in HOT:
                        asked.run(plain_frame(address), RUNS)
                is_round.release()

        asker = threading.Thread(target=ask)
        asker.start()
        try:
            for step in range(1, STEPS):
                forwarder.write(forwarder.update_to(state(chance, large, step)))
        finally:
            is_over.set()
            asker.join()
        for port in (1, 2):
            met = there.counters(port)
            assert set(met) == {Reason.UNREACHABLE, Reason.PROHIBITED}, met
            assert all(count.packets > RUNS for count in met.values())


class Stores:
    """Memory that waits before each store."""

    def __init__(self, memory: memoryview, wait: Callable[[], None]) -> None:
        self._memory, self._wait = memory, wait

    def __setitem__(self, place: int | slice, value: int | memoryview) -> None:
        self._wait()
        self._memory[place] = value


def slow_down(forwarder: Forwarder, wait: Callable[[], None]) -> None:
    """Let every address be looked up between any two stores."""
    memory = forwarder._fib
    assert memory is not None
    read = {name: getattr(memory, name) for name in ("_words", "_tables", "_leaves")}
    memory.content = lambda: Content(read["_words"], read["_tables"], read["_leaves"][::2].tolist())
    memory.__dict__ |= {name: Stores(there, wait) for name, there in read.items()}


def wait_for(is_round: threading.Semaphore) -> None:
    """Until a whole round has begun and ended; a round that nobody waited for is past."""
    while is_round.acquire(blocking=False):
        pass
    for _ in range(2):
        assert is_round.acquire(timeout=20)


def state(chance: random.Random, large: Routes, step: int) -> Forwarding:
    """The same answer for all hot addresses: by routes of their own, or by the default route alone."""
    answer = ODD if step % 2 else EVEN
    longest = 24 if step % 4 == 0 else 32  # a list of short words, or of long ones
    hot = {prefix_of(address, chance.randint(20, longest)): answer for address in HOT}
    tables = {}
    for number, others in ((1, {}), (2, large)):
        is_default = (step + number) % 4 < 2
        tables[number] = {**others, ANYWHERE: answer} if is_default else {**others, **hot, ANYWHERE: NEVER}
    return state_of(tables)


def prefix(chance: random.Random) -> IPv4Network:
    return prefix_of(0x14000000 | chance.getrandbits(24), chance.randint(22, 30))


def prefix_of(address: int, length: int) -> IPv4Network:
    return IPv4Network((address >> 32 - length << 32 - length, length))
