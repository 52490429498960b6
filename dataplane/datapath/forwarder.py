"""The forwarder (``ebpf/datapath.c``) in the kernel: loaded, pinned, adopted, its maps brought in line with a state.

Owns which version of the program is current and how large its maps are. Must never attach anything: that is the kernel
driver's. All of it is about the network namespace that the calling thread is in.
"""

import errno
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dataplane.datapath import forwarding_maps as maps
from dataplane.datapath import libbpf, limiter, loader
from dataplane.datapath.fib.memory import KEPT, Memory
from dataplane.datapath.forwarding_maps import Sizes
from dataplane.datapath.grace import wait_for_packets
from dataplane.datapath.limiter import LimitCount
from dataplane.datapath.present import NAME, SMALLEST, Present, find, grown, known, roomy
from dataplane.datapath.update import Content, NoRoomError, Update, update
from dataplane.errors import HostError
from dataplane.model.forwarding import REASONS, FibKind, Forwarding, LegState, Reason
from dataplane.model.simulation import Count, Hook

PROGRAMS: Mapping[Hook, str] = {"tc": maps.TC, "xdp": maps.XDP}
"""Hook -> the function, which is also the program's name in the kernel."""

_FULL = frozenset({errno.E2BIG, errno.ENOSPC, errno.ENOMEM})
_COUNTERS = ("dp_reason", "dp_leg_count")


@dataclass(frozen=True, slots=True)
class Found:
    """What there is of the forwarder.

    Args:
        differs: what is not as a state wants it, in words; empty where nothing is to be written.
        programs: hook -> the kernel's number of the program that ports are to run; none where another has to be loaded.
        devices: the ports that XDP has a device to send to for.
        is_loss: nothing differs but legs that go.
    """

    differs: tuple[str, ...] = ()
    programs: Mapping[Hook, int] = field(default_factory=dict)
    devices: frozenset[int] = frozenset()
    is_loss: bool = False


class Forwarder:
    """The pinned programs and maps of one folder, opened; ``opened`` closes them.

    Args:
        sizes: of its maps.
    """

    def __init__(self, fds: Mapping[str, int], sizes: Sizes) -> None:
        self._fds, self._sizes = fds, sizes
        self._fib = Memory(fds) if sizes.fib is not None else None

    def program(self, hook: Hook) -> int:
        """The descriptor of a program, good for as long as this is open."""
        return self._fds[PROGRAMS[hook]]

    def knows(self, state: Forwarding) -> bool:
        """Whether the programs have all that a state needs; what they do not know they leave to the kernel."""
        return self._sizes.has_groups or not state.groups

    @property
    def legs_fd(self) -> int:
        """The descriptor of ``dp_leg``, good for as long as this is open."""
        return self._fds["dp_leg"]

    @property
    def flows_fd(self) -> int | None:
        """The descriptor of ``dp_flow``, likewise; None where no leg has a limit."""
        return self._fds.get("dp_flow")

    def limit_counters(self) -> dict[int, LimitCount]:
        """Leg id -> what its limits did, over all CPUs; only those where they did anything."""
        return limiter.counts(self._fds["dp_limit_count"]) if "dp_limit_count" in self._fds else {}

    def program_ids(self) -> dict[Hook, int]:
        """The kernel's numbers of the programs."""
        return {hook: libbpf.program_id(self._fds[name]) for hook, name in PROGRAMS.items()}

    def has_fib(self, kind: FibKind) -> bool:
        """Whether its routes are looked up in a FIB of a kind."""
        return (self._fib is None) == (kind is FibKind.LPM)

    def update_to(self, state: Forwarding) -> Update:
        """What is to be written to get to a state.

        Raises:
            NoRoomError: a map is too small.
        """
        return update(state, self._sizes, self._content(), KEPT)

    def write(self, change: Update) -> None:
        """Carry an update out.

        Raises:
            HostError: a map is full, or the kernel has no memory for it.
        """
        for name, entries in change.writes:
            if name == "dp_fib" and self._fib is not None:
                self._fib.write(change.fib, wait_for_packets)
            if not entries.count:
                continue
            if name == "dp_limit":
                limiter.write(self._fds[name], entries)
                continue
            with self._naming(name):
                libbpf.update_batch(self._fds[name], entries.keys, entries.values, entries.count)
        for key in change.deletions:
            libbpf.delete(self._fds["dp_fib"], key)
        if self._fib is not None:
            self._fib.clear(change.fib, wait_for_packets)
        if change.is_replacing:
            wait_for_packets()

    def begin(self) -> None:
        """What fresh maps need once, whatever the state: nothing where there are no limits."""
        if self._sizes.flows:
            limiter.begin(self._fds["dp_limit_base"])

    def has_device(self, port: int, ifindex: int) -> bool:
        """Whether XDP can send to a port; the entry went with the device, if that was made anew."""
        return libbpf.lookup(self._fds["dp_tx"], _key(port), 4) == _key(ifindex)

    def set_device(self, port: int, ifindex: int) -> None:
        """Let XDP send to a device; the thread is in the namespace of that device.

        Raises:
            HostError: the map has no place for the port.
        """
        with self._naming("dp_tx"):
            libbpf.update(self._fds["dp_tx"], _key(port), _key(ifindex))

    @contextmanager
    def _naming(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in _FULL:
                raise
            most = libbpf.map_info(self._fds[name]).max_entries
            raise HostError(
                f"map {name} of the forwarder is full: it holds {most:,} entries at most; spread the network over hosts"
            ) from error

    def _content(self) -> Content:
        return Content(
            b"".join(self._values("dp_leg")),
            self._values("dp_nexthop"),
            tuple(int.from_bytes(value, sys.byteorder) for value in self._values("dp_group")),
            self._values("dp_group_slot"),
            dict(self._entries("dp_fib")) if self._fib is None else {},
            self._values("dp_port"),
            self._values("dp_limit") if self._sizes.flows else (),
            None if self._fib is None else self._fib.content(),
        )

    def _values(self, name: str) -> tuple[bytes, ...]:
        """All values of an array."""
        return tuple(value for _, value in self._entries(name))

    def _entries(self, name: str) -> Iterator[tuple[bytes, bytes]]:
        info = libbpf.map_info(self._fds[name])
        return libbpf.read_all(self._fds[name], info.key_size, info.value_size)

    def fib_fill(self, routes: int) -> Mapping[str, tuple[int, int]]:
        """How full the maps of the FIB are, by name: what is in use, and what there is room for.

        Args:
            routes: that it holds, each of which is an entry of a trie; a multibit FIB is measured in words.
        """
        return {"dp_fib": (routes, self.limit("dp_fib"))} if self._fib is None else self._fib.fill()

    def limit(self, name: str) -> int:
        """How many entries a map has room for."""
        return int(libbpf.map_info(self._fds[name]).max_entries)

    def counters(self) -> dict[tuple[int, Reason], Count]:
        """(port, reason) -> frames, over all CPUs; only those with any. Port 0 stands for all that have no entry."""
        known = {int(reason): reason for reason in Reason}
        found = {}
        for index, count in self._counts("dp_reason"):
            port, number = divmod(index, REASONS)
            if number in known:
                found[port, known[number]] = count
        return found

    def leg_counters(self) -> dict[int, Count]:
        """Leg id -> frames that left by it, over all CPUs; only those with any."""
        return dict(self._counts("dp_leg_count"))

    def leg_states(self) -> dict[int, LegState]:
        """Leg id -> what traffic may do with it."""
        return {leg: LegState(value[0]) for leg, value in enumerate(self._values("dp_leg"))}

    def carry_from(self, other: "Forwarder") -> None:
        """Take counters over from other maps, of numbers that have a place here. Legs are as the state says."""
        both = (*_COUNTERS, *(("dp_limit_count",) if self._sizes.flows and other._sizes.flows else ()))
        rooms = {name: libbpf.map_info(self._fds[name]).max_entries for name in both}
        for name in both:
            rows = [row for row in other._per_cpu(name) if _number(row[0]) < rooms[name]]
            keys, values = b"".join(key for key, _ in rows), b"".join(value for _, value in rows)
            libbpf.update_batch(self._fds[name], keys, values, len(rows))

    def _counts(self, name: str) -> Iterator[tuple[int, Count]]:
        for key, data in self._per_cpu(name):
            values = memoryview(data).cast("Q")
            yield _number(key), Count(sum(values[::2]), sum(values[1::2]))

    def _per_cpu(self, name: str) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values of counters, of those that have counted anything."""
        size = libbpf.map_info(self._fds[name]).value_size * libbpf.possible_cpus()
        return libbpf.read_all(self._fds[name], 4, size, leaves_zeros_out=True)


@contextmanager
def opened(folder: Path, sizes: Sizes, names: Iterable[str] = ()) -> Iterator[Forwarder]:
    """The forwarder pinned in a folder, its descriptors closed at the end.

    Args:
        names: the pins to open; all where none is named.

    Raises:
        OSError: a pin is missing.
    """
    program = maps.spec(sizes)
    fds: dict[str, int] = {}
    try:
        for name in tuple(names) or (*program.programs, *program.maps):
            fds[name] = libbpf.open_pinned(folder / name)
        yield Forwarder(fds, sizes)
    finally:
        for fd in fds.values():
            os.close(fd)


@contextmanager
def adopted() -> Iterator[Forwarder | None]:
    """The forwarder of the present network namespace as it stands; None where it is not loaded. Changes nothing."""
    present = find()
    if present is None or not loader.is_loaded(maps.spec(present.sizes)):
        yield None
        return
    with opened(loader.directory(maps.spec(present.sizes)), present.sizes) as forwarder:
        yield forwarder


def is_here() -> bool:
    """Whether anything of the forwarder is pinned."""
    return bool(loader.pins_named(NAME))


def look(state: Forwarding | None, ports: Iterable[int] = ()) -> Found | None:
    """How far the forwarder is as a state wants it; None where there is nothing of it. Changes nothing.

    Args:
        state: None where nobody wants it.
        ports: those whose device XDP is to know.
    """
    folders = loader.pins_named(NAME)
    if not folders:
        return None
    if state is None:
        return Found(("nobody needs it",))
    with adopted() as forwarder:
        if forwarder is None:
            return Found(("its pins are missing, or those of another version",))
        if not forwarder.has_fib(state.fib):
            return Found((f"its routes are not in a FIB of the kind {state.fib}",))
        if not forwarder.knows(state):
            return Found(("its programs know no groups",))
        try:
            change = forwarder.update_to(state)
        except NoRoomError as error:
            return Found((f"map {error} is too small",))
        others = ("pins of another version",) if len(folders) > 1 else ()
        devices = (port for port in ports if forwarder.has_device(port, state.ports[port].ifindex))
        is_loss = change.is_loss and not others
        return Found((*change.words, *others), forwarder.program_ids(), frozenset(devices), is_loss)


def settle(state: Forwarding) -> None:
    """Load the forwarder, or adopt it, and bring its maps in line with a state.

    A changed program goes on with the maps that are there; so does the one that a network's first group asks for. Where
    maps are too small, or laid out in another way, there are new ones, full and with the old counters before anything
    runs with them.

    Raises:
        HostError: a package or a kernel feature is missing, or a map is full.
    """
    present = find()
    sizes = roomy(state) if present is None else known(state, present.sizes)
    if present is not None and not _has_room(present, state):
        sizes = grown(roomy(state), present.sizes)

    def fill(folder: Path) -> None:
        with opened(folder, sizes, maps.spec(sizes).maps) as fresh:
            fresh.begin()
            try:
                fresh.write(fresh.update_to(state))
            except NoRoomError as error:
                raise HostError(
                    f"map {error} of the forwarder is full: it has the {fresh.limit(str(error)):,} entries that there "
                    "can be at most; spread the network over hosts, or set datapath.fib to lpm"
                ) from error
            if present is not None:
                with opened(present.folder, present.sizes, maps.spec(present.sizes).maps) as old:
                    fresh.carry_from(old)

    folder = loader.load(maps.spec(sizes), fill, keeps_maps=True)
    with opened(folder, sizes) as forwarder:
        forwarder.write(forwarder.update_to(state))


def unload() -> None:
    """Take the pins away; what programs hold goes with the last port."""
    loader.unload(maps.spec(SMALLEST))


def _has_room(present: Present, state: Forwarding) -> bool:
    if (present.sizes.fib is None) != (state.fib is FibKind.LPM):
        return False
    with opened(present.folder, present.sizes, maps.spec(present.sizes).maps) as forwarder:
        try:
            forwarder.update_to(state)
        except NoRoomError:
            return False
        return True


def _key(number: int) -> bytes:
    return number.to_bytes(4, sys.byteorder)


def _number(key: bytes) -> int:
    return int.from_bytes(key, sys.byteorder)
