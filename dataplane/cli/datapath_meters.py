"""``dataplane datapath show meters``: what the forwarder has counted, by connection and by port.

It only arranges counters in the words of the configuration; nothing here reads the kernel.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dataplane.cli.output import Section, Table
from dataplane.model.forwarding import Reason, Verdict
from dataplane.model.simulation import Count
from dataplane.observe.connection_traffic import connection_traffic

if TYPE_CHECKING:
    from dataplane.config import Network
    from dataplane.model.traffic import NamedTraffic

_VERDICTS = {Verdict.FORWARD: "sent_on", Verdict.PASS: "to_kernel", Verdict.DROP: "dropped"}


def meters_document(network: "Network", traffic: "NamedTraffic") -> dict[str, list[dict[str, Any]]]:
    """Frames and bytes since the forwarder's maps were made.

    Returns:
        ``connections``: a row for each end on this host; ``ports``: a row for each port, its frames by what became of
        them and, in ``reasons``, why. A walk in the driver counts as sent on at each router that it came through.
    """
    return {
        "connections": [
            {
                "connection": end.connection,
                "router_interface": end.router_interface,
                "sent": _count(end.counted.sent),
                "received": _count(end.counted.received),
            }
            for end in connection_traffic(network, traffic)
        ],
        "ports": [_port(port, reasons) for port, reasons in traffic.ports.items()],
    }


def _port(port: str, reasons: Mapping[Reason, Count]) -> dict[str, Any]:
    sums = {word: Count(0, 0) for word in _VERDICTS.values()}
    for reason, count in reasons.items():
        word = _VERDICTS[reason.verdict]
        sums[word] = Count(sums[word].packets + count.packets, sums[word].bytes + count.bytes)
    listed = {reason.name.lower(): _count(count) for reason, count in sorted(reasons.items())}
    return {"port": port, **{word: _count(count) for word, count in sums.items()}, "reasons": listed}


def _count(count: Count) -> dict[str, int]:
    return {"packets": count.packets, "bytes": count.bytes}


def meters_sections(document: Mapping[str, list[dict[str, Any]]]) -> Iterator[Section]:
    """Packets for people, in two tables; bytes of connections too."""
    ends = [
        (
            row["connection"],
            row["router_interface"],
            *(f"{row[way][unit]:,}" for way in ("sent", "received") for unit in ("packets", "bytes")),
        )
        for row in document["connections"]
    ]
    if ends:
        columns = ("connection", "router interface", "packets sent", "bytes sent", "packets received", "bytes received")
        yield Table(columns, ends)
        yield ""
    words = [(row["port"], *(f"{row[word]['packets']:,}" for word in _VERDICTS.values())) for row in document["ports"]]
    yield Table(("port", "packets sent on", "left to the kernel", "dropped"), words)
