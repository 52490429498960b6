"""Simulators for many tests: one compilation for each size of maps, emptied before it is filled anew."""

import atexit
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from dataplane.datapath import libbpf
from dataplane.datapath.forwarding_maps import Sizes
from dataplane.datapath.simulate import Simulator, simulator
from dataplane.model.forwarding import Forwarding

_loaded: dict[Sizes, Simulator] = {}
_open = ExitStack()
atexit.register(_open.close)

_PLAIN = ("dp_port", "dp_nexthop", "dp_group", "dp_group_slot", "dp_leg")
_PER_CPU = ("dp_reason", "dp_leg_count")
_OF_LIMITS = ("dp_limit", "dp_limit_state", "dp_flow", "dp_leaf", "dp_limit_count")


@contextmanager
def filled(state: Forwarding, sizes: Sizes | None = None) -> Iterator[Simulator]:
    """A simulator with nothing but this state in it; for one test at a time."""
    room = sizes or Sizes.of(state)
    there = _loaded.get(room)
    if there is None:
        there = _loaded[room] = _open.enter_context(simulator(Forwarding(), room))
    _empty(there, (*_PLAIN, *_PER_CPU, *(_OF_LIMITS if room.flows else ())))
    there.fill(state)
    yield there


def _empty(there: Simulator, names: tuple[str, ...]) -> None:
    for name in names:
        fd = there.map(name)
        info = libbpf.map_info(fd)
        size = libbpf.possible_cpus() * info.value_size if name in (*_PER_CPU, "dp_limit_count") else info.value_size
        keys = b"".join(index.to_bytes(4, "little") for index in range(info.max_entries))
        libbpf.update_batch(fd, keys, bytes(size * info.max_entries), info.max_entries)
    if there.sizes.fib is not None:
        return  # filling brings it in line
    fib = there.map("dp_fib")
    for key in list(libbpf.keys(fib, 12)):
        libbpf.delete(fib, key)
