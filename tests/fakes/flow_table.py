"""Flow tables for tests, in the bytes that the programs write."""

from collections.abc import Mapping

from dataplane.datapath.flow_table import ENTRY_BYTES, HOST, WIRE, TableBytes
from dataplane.model.flow import FlowEntry

NOW_NS = 10**12


def flow_table(entries: Mapping[int, FlowEntry], size: int = 64) -> TableBytes:
    """A table with entries at places."""
    data = bytearray(size * ENTRY_BYTES)
    for place, entry in entries.items():
        key = entry.key
        wire = WIRE.pack(
            key.source, key.destination, key.source_port, key.destination_port, key.protocol, entry.is_queued * 7
        )
        data[place * ENTRY_BYTES : (place + 1) * ENTRY_BYTES] = wire + HOST.pack(
            key.leg, NOW_NS + entry.used_ns, entry.bytes
        )
    return TableBytes(bytes(data), NOW_NS)
