"""From ``acceptance.yaml`` and a network to single measures: who sends to whom, by which ports, and what it can reach.

Pure. Client ports are chosen with the forwarder's own hash, so that flows cover all legs evenly.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from dataplane.accept.ceiling import MESSAGE_BYTES, NETPERF_MESSAGE_BYTES, Ceiling, ceiling_of, offer
from dataplane.accept.language import AcceptanceFile, Direction, DrillSpec, MeasureKind, MeasureSpec, Target
from dataplane.accept.model import Drill, Flow, Measure, Tool
from dataplane.accept.way import End, Way, way_between
from dataplane.config.network import Network
from dataplane.model.flow_hash import TCP, UDP, bucket_of

NETPERF_PORT = 11256
"""R124: 11256 to 11263 for eight."""
IPERF_PORT = 16001
"""R127: 16001 to 16008 for eight."""
OWN_PORT = 17001
DRILL_PORT = 17101
_FIRST_CLIENT_PORT = 20_001
_PORTS_PER_FLOW = 64
"""Enough to find one for each of four legs."""
_CLIENT_PORTS = 12_000
"""Below 32,768, where Linux begins to give out ports by itself."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """What cannot be measured, at a place of the file."""

    path: tuple[str | int, ...]
    message: str
    remedy: str
    rule: str = "R124"


@dataclass(slots=True)
class Planner:
    """Makes measures and drills, and complains about what cannot be one.

    Args:
        ends: who is there: instances, and nodes of a lab.
        server: the address of everybody in ``to`` who is not among them (``--server``).
        has_netperf: whether it is there; ``packet_rate`` and ``requests`` then use it (R124).
        seconds: the duration of each measure; None: as the file says.
    """

    network: Network
    ends: Mapping[str, End]
    server: IPv4Address | None = None
    has_netperf: bool = False
    seconds: float | None = None

    complaints: list[Complaint] = field(default_factory=list)
    _turn: int = 0

    def measures(self, file: AcceptanceFile, kinds: Collection[MeasureKind] = ()) -> tuple[Measure, ...]:
        """All measures of a file, in its order.

        Args:
            kinds: only these, where some are named.
        """
        seconds = file.duration_ms / 1000 if self.seconds is None else self.seconds
        found: list[Measure] = []
        for number, spec in enumerate(file.measures):
            clients = self._instances(("measures", number, "from"), spec.from_)
            target = self._target(("measures", number, "to"), spec.to, clients)
            if clients and target is not None:
                wanted = [kind for kind in spec.kinds if not kinds or kind in kinds]
                found += self._of_spec(spec, wanted, clients, target, seconds)
        return tuple(found)

    def drills(self, file: AcceptanceFile) -> tuple[Drill, ...]:
        """All drills of a file."""
        return tuple(
            drill for number, spec in enumerate(file.drills) for drill in self._drill(("drills", number), spec)
        )

    def _drill(self, path: tuple[str | int, ...], spec: DrillSpec) -> Iterator[Drill]:
        source = self._instances((*path, "from"), [spec.from_])
        target = self._target((*path, "to"), spec.to, source)
        if spec.leg not in self.network.router_interfaces:
            known = ", ".join(self.network.router_interfaces) or "it has none"
            self._complain((*path, "leg"), f"there is no router interface `{spec.leg}`", f"known: {known}", "R54")
        elif source and target is not None:
            way = way_between(self.network, source[0], target)
            carrying = [leg.name for leg in way.legs]
            if spec.leg in carrying:
                ends, turn = (source[0], target, DRILL_PORT), carrying.index(spec.leg)
                port, _ = self._client_port(UDP, ends, way, turn)
                yield Drill(spec.leg, spec.for_ms / 1000, source[0], target, spec.max_outage_ms / 1000, port)
                return
            message = f"{spec.leg} carries nothing from {spec.from_} to {target.id} while all legs are healthy"
            self._complain((*path, "leg"), message, f"cut one of: {', '.join(carrying) or 'there is none'}", "R54")

    def _instances(self, path: tuple[str | int, ...], ids: Sequence[str]) -> list[End]:
        found = [self.ends[id] for id in ids if id in self.ends and self.ends[id].vpc]
        for id in ids:
            if id not in self.ends or not self.ends[id].vpc:
                known = ", ".join(id for id, end in self.ends.items() if end.vpc) or "there is none"
                self._complain(path, f"`{id}` is not an instance with an address here", f"known: {known}")
        return found if len(found) == len(ids) else []

    def _target(self, path: tuple[str | int, ...], to: Target, clients: Sequence[End]) -> End | None:
        found = self._end(path, to)
        if found is not None and found.address in {client.address for client in clients if client.vpc == found.vpc}:
            self._complain(
                path, f"{found.id} is at both ends: nothing would leave it", "name another one here or in from:"
            )
            return None
        return found

    def _end(self, path: tuple[str | int, ...], to: Target) -> End | None:
        if isinstance(to, IPv4Address):
            return next((end for end in self.ends.values() if end.address == to), End(str(to), to, is_here=False))
        if to in self.ends:
            return self.ends[to]
        if self.server is not None:
            return End(to, self.server, is_here=False)
        remedy = "name an instance, write its address, or say where it is with --server ADDRESS"
        self._complain(path, f"nobody here is called `{to}`", remedy)
        return None

    def _complain(self, path: tuple[str | int, ...], message: str, remedy: str, rule: str = "R124") -> None:
        self.complaints.append(Complaint(path, message, remedy, rule))

    def _of_spec(
        self, spec: MeasureSpec, kinds: Sequence[MeasureKind], clients: Sequence[End], target: End, seconds: float
    ) -> Iterator[Measure]:
        for kind in kinds:
            for direction in spec.directions:
                yield self._measure(spec, kind, direction, clients, target, seconds)

    def _measure(
        self,
        spec: MeasureSpec,
        kind: MeasureKind,
        direction: Direction,
        clients: Sequence[End],
        target: End,
        seconds: float,
    ) -> Measure:
        tool, skipped = self._tool(kind, direction, target)
        sender, receiver = (clients[0], target) if direction is Direction.INBOUND else (target, clients[0])
        way = way_between(self.network, sender, receiver)
        flows = self._flows(spec, kind, direction, clients, target, way, tool)
        message = NETPERF_MESSAGE_BYTES if tool is Tool.NETPERF else MESSAGE_BYTES.get(kind, 0)
        legs = [flow.leg for flow in flows]
        offered = offer(kind, way, legs, message) if tool is Tool.IPERF3 else None
        ceiling = ceiling_of(kind, way, legs, message, offered) if not skipped else Ceiling(None, skipped)
        limits = spec.limits.of(kind)
        return Measure(spec.name, kind, direction, tool, flows, seconds, ceiling, limits, message, offered, skipped)

    def _tool(self, kind: MeasureKind, direction: Direction, target: End) -> tuple[Tool, str]:
        """What measures a kind, and why it cannot."""
        if kind not in (MeasureKind.PACKET_RATE, MeasureKind.REQUESTS):
            return Tool.IPERF3, ""
        is_outbound_from_afar = direction is Direction.OUTBOUND and not target.is_here
        if self.has_netperf and not is_outbound_from_afar:
            return Tool.NETPERF, ""
        if kind is MeasureKind.PACKET_RATE:
            return Tool.IPERF3, ""
        if target.is_here:
            return Tool.OWN, ""
        if is_outbound_from_afar:
            return Tool.NETPERF, "its clients would run at the far end, where nobody can start them from here"
        return Tool.NETPERF, "it needs netperf (Debian: component non-free), as the far end is not ours"

    def _flows(
        self,
        spec: MeasureSpec,
        kind: MeasureKind,
        direction: Direction,
        instances: Sequence[End],
        target: End,
        way: Way,
        tool: Tool,
    ) -> tuple[Flow, ...]:
        first = {Tool.IPERF3: IPERF_PORT, Tool.NETPERF: NETPERF_PORT, Tool.OWN: OWN_PORT}[tool]
        is_reversed = direction is Direction.OUTBOUND and not target.is_here
        found = []
        for number in range(spec.flows):
            instance = instances[number % len(instances)]
            # Outbound, each instance has a server of its own, on the first port (R125, R127).
            port = first + (number if direction is Direction.INBOUND or is_reversed else number // len(instances))
            is_client = direction is Direction.INBOUND or is_reversed
            client, server = (instance, target) if is_client else (target, instance)
            protocol = UDP if kind in MESSAGE_BYTES else TCP
            data_port = 0 if tool is Tool.NETPERF else port
            client_port, leg = self._client_port(protocol, (client, server, data_port), way, number)
            found.append(Flow(number, client, server, port, client_port, leg, is_reversed))
        self._turn += spec.flows
        return tuple(found)

    def _client_port(self, protocol: int, ends: tuple[End, End, int], way: Way, number: int) -> tuple[int, str]:
        """A port by which the forwarder gives the flow to the leg whose turn it is.

        Args:
            ends: client, server, and the server's port; 0 where that is the client's too.
        """
        client, server, server_port = ends
        first = _FIRST_CLIENT_PORT + (self._turn + number) * _PORTS_PER_FLOW % _CLIENT_PORTS
        if not way.firsts:
            return first, way.legs[0].name if way.legs else ""

        def place(port: int) -> int:
            return way.firsts[bucket_of(protocol, (client.address, port), (server.address, server_port or port))]

        ports = range(first, first + _PORTS_PER_FLOW)
        # None fits once in 10^8 times, of four legs: then the flow goes where it goes.
        chosen = next((port for port in ports if place(port) == number % len(way.legs)), first)
        return chosen, way.legs[place(chosen)].name


def instance_ends(network: Network, addresses: Mapping[str, IPv4Address], here: Collection[str]) -> dict[str, End]:
    """The running instances of a network as ends.

    Args:
        addresses: of those whose address the file leaves open.
        here: the ids of those that are on this host.
    """
    found = {}
    for vpc_id, vpc in network.vpcs.items():
        for id, instance in vpc.instances.items():
            address = instance.ip or addresses.get(id)
            if address is not None and instance.state == "running":
                found[id] = End(id, address, vpc_id, id in here)
    return found
