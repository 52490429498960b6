"""All probes of a run at once, with sniffers in every namespace, and what was seen of each."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address

from lab.model import Direction, Evidence, Flow, Protocol, Sighting
from lab.syscalls import in_network
from lab.traffic.loop import Loop
from lab.traffic.packet import is_arp_for
from lab.traffic.probe import IcmpProbe, Probe, TcpProbe, UdpProbe, pick_client_ports
from lab.traffic.server import Arrivals, Server, Service
from lab.traffic.sniffer import Sniffer, await_time_stamps


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait.

    Args:
        answer_s: for the answer of a probe that must get one, in seconds. Below 1 s, so that TCP's second SYN
            cannot stand in for a lost first one.
        quiet_s: for a packet that must not arrive anywhere, in seconds.
    """

    answer_s: float = 0.95
    quiet_s: float = 0.4


class Exchange:
    """A place to send in: the namespaces of a host, with a sniffer in each.

    Args:
        namespaces: name -> open descriptor; they stay the caller's.
    """

    def __init__(self, namespaces: Mapping[str, int], patience: Patience) -> None:
        self.patience = patience
        self.loop = Loop()
        self._namespaces = namespaces
        self._sightings: dict[bytes, list[Sighting]] = defaultdict(list)
        # Kept for as long as we look: the kernel asks once a second, whoever waits for the answer.
        self._asked: dict[bytes, list[Sighting]] = defaultdict(list)
        self._tcp_ports: frozenset[int] = frozenset()
        # Of every batch so far: a straggler of an earlier one (a reset, a retransmission) must not pass for a packet
        # of a later one, and with equal addresses everywhere the port is all that tells them apart.
        self._used_ports: frozenset[int] = frozenset()
        self._sniffers: list[Sniffer] = []
        for name, descriptor in namespaces.items():
            sniffer = Sniffer(name, descriptor)
            self._sniffers.append(sniffer)
            self.loop.watch(sniffer.socket, lambda sniffer=sniffer: self._collect(sniffer))  # type: ignore[misc]
        if namespaces:
            with in_network(next(iter(namespaces.values()))):
                await_time_stamps()

    def _collect(self, sniffer: Sniffer) -> None:
        for sighting in sniffer.read(self._tcp_ports):
            kept = self._asked if sighting.mark.direction is Direction.ASK else self._sightings
            kept[sighting.mark.key].append(sighting)

    def send(self, flows: Sequence[Flow], *, must_answer: Sequence[bool]) -> list[Evidence]:
        """Send one probe for each flow, all at once, and wait for what they must bring.

        Args:
            must_answer: for each flow, whether its answer ends the waiting; others wait for the quiet to last.

        Raises:
            HostError: a node lacks its address, or its port is taken.
        """
        server_ports = frozenset(flow.port for flow in flows)
        client_ports = pick_client_ports(len(flows), server_ports, self._used_ports)
        self._used_ports |= frozenset(client_ports)
        probes = [_probe(self.loop, flow, port) for flow, port in zip(flows, client_ports, strict=True)]
        self._tcp_ports = frozenset(probe.port for probe in probes if isinstance(probe, TcpProbe))
        arrivals: Arrivals = {}
        with self._servers(flows, arrivals):
            self._carry(probes, must_answer)
        lost = self._lost()
        return [self._evidence(probe, arrivals.get(probe.nonce), lost) for probe in probes]

    def _carry(self, probes: Sequence[Probe], must_answer: Sequence[bool]) -> None:
        needed = [probe for probe, must in zip(probes, must_answer, strict=True) if must]
        try:
            for probe in probes:
                probe.start(self._namespaces[probe.flow.source.namespace])
            if len(needed) < len(probes):
                self.loop.run(lambda: False, self.patience.quiet_s)
            self.loop.run(lambda: all(probe.answered_s is not None for probe in needed), self.patience.answer_s)
            for sniffer in self._sniffers:
                self._collect(sniffer)
        finally:
            for probe in probes:
                probe.close()

    @contextmanager
    def _servers(self, flows: Sequence[Flow], arrivals: Arrivals) -> Iterator[None]:
        servers: dict[Service, Server] = {}
        try:
            for flow in flows:
                if flow.destination is None or flow.protocol not in (Protocol.UDP, Protocol.TCP):
                    continue
                service = Service(flow.destination, flow.protocol, flow.address, flow.port)
                if service not in servers:
                    descriptor = self._namespaces[flow.destination.namespace]
                    servers[service] = Server(self.loop, descriptor, service, arrivals)
            yield
        finally:
            for server in servers.values():
                server.close()

    def trace(self, probes: Sequence[IcmpProbe]) -> list[Evidence]:
        """Send echo requests of given TTLs, all at once, and wait for whoever answers."""
        try:
            for probe in probes:
                probe.start(self._namespaces[probe.flow.source.namespace])
            self.loop.run(lambda: all(self._has_come_back(probe) for probe in probes), self.patience.quiet_s)
        finally:
            for probe in probes:
                probe.close()
        lost = self._lost()
        return [self._evidence(probe, None, lost) for probe in probes]

    def _has_come_back(self, probe: Probe) -> bool:
        home = probe.flow.source.namespace
        return probe.answered_s is not None or any(
            sighting.mark.error and sighting.namespace == home for sighting in self._sightings[probe.key]
        )

    def _lost(self) -> tuple[str, ...]:
        return tuple(sniffer.namespace for sniffer in self._sniffers if sniffer.lost())

    def _evidence(self, probe: Probe, arrived_from: IPv4Address | None, lost: tuple[str, ...]) -> Evidence:
        seen = self._sightings.pop(probe.key, []) + self._asked_for(probe.flow)
        return Evidence(
            sightings=tuple(sorted(seen, key=lambda sighting: sighting.order)),
            arrived_from=arrived_from,
            is_answered=probe.answered_s is not None,
            round_trip_ms=probe.round_trip_ms,
            send_error=probe.send_error,
            lost=lost,
        )

    def _asked_for(self, flow: Flow) -> list[Sighting]:
        """Where the sender's ARP requests for the flow's address were seen."""
        home = flow.source.namespace
        return [
            sighting
            for key, sightings in self._asked.items()
            if is_arp_for(key, flow.address) and any(seen.namespace == home and seen.is_outgoing for seen in sightings)
            for sighting in sightings
        ]

    def close(self) -> None:
        """Close the sniffers."""
        for sniffer in self._sniffers:
            sniffer.close()
        self.loop.close()


def _probe(loop: Loop, flow: Flow, client_port: int) -> Probe:
    if flow.protocol is Protocol.UDP:
        return UdpProbe(loop, flow)
    if flow.protocol is Protocol.TCP:
        return TcpProbe(loop, flow, client_port)
    return IcmpProbe(loop, flow)
