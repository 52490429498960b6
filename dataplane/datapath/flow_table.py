"""The bytes of the flow table as flows in our own words. Pure: reading them is the matter of ``datapath/flows.py``.

65,536 entries that all have a flow take Python a fifth of a second; so what has not changed is not decoded.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from dataplane.model.flow import FlowEntry, FlowKey, FlowTable

ENTRY_BYTES = 32
WIRE = struct.Struct(">IIHHBB")
"""Of ``struct dp_flow_entry``, what is in the order of the wire: addresses, ports, protocol, leaf."""
HOST = struct.Struct("=HQQ")
"""The rest: leg, time, bytes."""
_PAGE = 4_096
_EMPTY_PAGE, _EMPTY = bytes(_PAGE), bytes(ENTRY_BYTES)
_WORDS, _TIME = ENTRY_BYTES // 8, 2


@dataclass(frozen=True, slots=True)
class TableBytes:
    """A ``FlowTable`` as it lies in the map.

    Args:
        data: of all entries.
        now_ns: when that was, by the clock that the entries' times are of.
    """

    data: bytes
    now_ns: int

    @property
    def size(self) -> int:
        """How many flows it has room for."""
        return len(self.data) // ENTRY_BYTES

    @property
    def used(self) -> int:
        """Entries that nobody else may take now."""
        return sum(until_ns > self.now_ns for until_ns in self._times())

    def entries(self) -> Iterator[FlowEntry]:
        """All that a flow has ever had, in their order."""
        return (entry for _, entry in self.changes(None))

    def busy(self) -> Iterator[FlowEntry]:
        """Those that nobody else may take now."""
        for place, until_ns in enumerate(self._times()):
            if until_ns > self.now_ns:
                yield self._entry(self.data[place * ENTRY_BYTES : (place + 1) * ENTRY_BYTES])

    def changes(self, before: FlowTable | None) -> Iterator[tuple[FlowEntry | None, FlowEntry]]:
        """What differs from an earlier look: the entry that was in the place, if any, and the one that is there now."""
        earlier = before if isinstance(before, TableBytes) and before.size == self.size else TableBytes(b"", 0)
        for begin in range(0, len(self.data), _PAGE):
            page, page_before = self.data[begin : begin + _PAGE], earlier.data[begin : begin + _PAGE]
            if page in (page_before, _EMPTY_PAGE):
                continue
            for at in range(0, len(page), ENTRY_BYTES):
                now, then = page[at : at + ENTRY_BYTES], page_before[at : at + ENTRY_BYTES]
                if now not in (then, _EMPTY):
                    yield earlier._entry(then) if then not in (b"", _EMPTY) else None, self._entry(now)

    def _times(self) -> list[int]:
        return memoryview(self.data).cast("Q")[_TIME::_WORDS].tolist()

    def _entry(self, data: bytes) -> FlowEntry:
        source, destination, source_port, destination_port, protocol, leaf = WIRE.unpack_from(data)
        leg, until_ns, count = HOST.unpack_from(data, WIRE.size)
        key = FlowKey(leg, source, destination, protocol, source_port, destination_port)
        return FlowEntry(key, count, until_ns - self.now_ns, bool(leaf))
