"""What the rules look things up in: the network, the positions of its parts, and indexes over both.

A lookup answers questions and makes problems with the right position; it contains no rule.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network

from dataplane.config.network import Network
from dataplane.config.next_hop import InstanceHop, router_interfaces_of
from dataplane.config.node import Node
from dataplane.config.peering import PeeringConnection, PeeringEnd
from dataplane.config.placement import Placement
from dataplane.config.problem import Path, Problem, Severity, path_text
from dataplane.config.prune import ROUTER_INTERFACES
from dataplane.config.route_table import Route
from dataplane.config.rules.ranges import Ranges
from dataplane.config.vocabulary import did_you_mean
from dataplane.config.vpc import Vpc
from dataplane.config.vswitch import SYSTEM_TABLE
from dataplane.model.resource import Origin


@dataclass(frozen=True, slots=True)
class RouteAt:
    """A custom route and where it stands.

    Args:
        vpc: the VPC whose table it is in, or None.
        vbr: the VBR whose table it is in, or None.
        table: the route table's id in the VPC; empty for a VBR.
    """

    route: Route
    path: Path
    vpc: str | None = None
    vbr: str | None = None
    table: str = ""

    def __str__(self) -> str:
        router = f"{self.vpc}/{self.table}" if self.vpc is not None else str(self.vbr)
        return f"{router}/{self.route.destination}"


@dataclass(frozen=True, slots=True)
class Joined:
    """A peering connection that has both its ends."""

    id: str
    connection: PeeringConnection
    initiator: PeeringEnd
    acceptor: PeeringEnd

    @property
    def path(self) -> Path:
        """Where it stands in the configuration."""
        return ("peering_connections", self.id)

    def sides(self) -> tuple[tuple[PeeringEnd, PeeringEnd], tuple[PeeringEnd, PeeringEnd]]:
        """Each end with the one across."""
        return (self.initiator, self.acceptor), (self.acceptor, self.initiator)


class Lookup:
    """The network as the rules see it.

    Args:
        network: what is well formed.
        root: the tree with the positions.
        broken: paths of what was cut out for errors of its own.
    """

    def __init__(self, network: Network, root: Node, broken: frozenset[Path] = frozenset()) -> None:
        self.network = network
        self._root = root
        self._broken = broken

    def error(self, path: Path, message: str, rule: str | None, remedy: str) -> Problem:
        """An error at a part of the configuration."""
        return self._problem("error", path, message, rule, remedy)

    def warning(self, path: Path, message: str, rule: str | None, remedy: str) -> Problem:
        """A warning at a part of the configuration."""
        return self._problem("warning", path, message, rule, remedy)

    def _problem(self, severity: Severity, path: Path, message: str, rule: str | None, remedy: str) -> Problem:
        return Problem(severity, self.origin(*path), path_text(self._root.written(path)), message, rule, remedy)

    def origin(self, *path: str | int) -> Origin:
        """A single value's own place; of anything larger the key that names it."""
        node = self._root.nearest(path)
        return node.key_origin if isinstance(node.value, (dict, list)) else node.origin

    def is_broken(self, *path: str | int) -> bool:
        """Whether a thing, or what it is part of, was cut out for errors of its own."""
        return any(path[:length] in self._broken for length in range(1, len(path) + 1))

    def is_router_interface_broken(self, router_interface: str) -> bool:
        """Likewise a router interface, by its id."""
        return self.is_broken(ROUTER_INTERFACES, router_interface)

    def has_broken_under(self, *path: str) -> bool:
        """Whether a thing, what it is part of, or any part of it was cut out for errors of its own."""
        return self.is_broken(*path) or any(cut[: len(path)] == path for cut in self._broken)

    @cached_property
    def is_multi_host(self) -> bool:
        """Whether zones run on several hosts, which then must agree on addresses without asking."""
        regions = self.network.regions.values()
        return len({zone.host for region in regions for zone in region.zones.values()} - {None}) > 1

    @cached_property
    def placement(self) -> Placement:
        """On which host things are, with an empty name where the file does not say."""
        return Placement(self.network)

    @cached_property
    def probe_sources(self) -> Mapping[str, Mapping[IPv4Address, str]]:
        """For each VPC the addresses that health checks send from, with their connection (R40)."""
        found: dict[str, dict[IPv4Address, str]] = {}
        for name, connection in self.network.peering_connections.items():
            if connection.health_check is not None and connection.acceptor is not None:
                sources = found.setdefault(connection.acceptor.vpc or "", {})
                sources.update(dict.fromkeys(connection.health_check.source, name))
        return found

    def dangling(
        self, path: Path, noun: str, reference: str, known: Iterable[str], rule: str | None = None, where: str = ""
    ) -> Problem:
        """An error for a reference to something that is nowhere in the configuration.

        Args:
            path: where the reference stands.
            noun: what it should name, as in ``vswitch``.
            known: the ids that it could have named.
            where: what follows in the message, as in ``of VPC vpc-a``.
        """
        names = list(known)
        remedy = did_you_mean(reference, names)
        if not remedy:
            remedy = f"known here: {', '.join(sorted(names)[:8])}" if names else f"there is no {noun} here: write one"
        return self.error(path, f"there is no {noun} `{reference}`{where and ' '}{where}", rule, remedy)

    @cached_property
    def joined(self) -> tuple[Joined, ...]:
        """The connections with both ends in their roles (R9), whose routers are there."""
        return tuple(
            Joined(name, item, item.initiator, item.acceptor)
            for name, item in self.network.peering_connections.items()
            if item.initiator is not None
            and item.acceptor is not None
            and item.acceptor.vbr is None
            and self.has_router(item.initiator)
            and self.has_router(item.acceptor)
        )

    def has_router(self, end: PeeringEnd) -> bool:
        """Whether the VPC or VBR of an end is there."""
        return end.vpc in self.network.vpcs or end.vbr in self.network.vbrs

    def account_of(self, end: PeeringEnd) -> str | None:
        """The account of an end's router."""
        router = self.network.vpcs.get(end.vpc or "") or self.network.vbrs.get(end.vbr or "")
        return router.account if router is not None else None

    def region_of(self, end: PeeringEnd) -> str | None:
        """The region of an end's router, where it is known."""
        vpc = self.network.vpcs.get(end.vpc or "")
        if vpc is not None:
            return self._known_region(vpc.region)
        vbr = self.network.vbrs.get(end.vbr or "")
        line = self.network.physical_connections.get(vbr.physical_connection) if vbr is not None else None
        access_point = self.network.access_points.get(line.access_point) if line is not None else None
        return self._known_region(access_point.region) if access_point is not None else None

    def is_across_regions(self, joined: Joined) -> bool:
        """Whether the ends of a connection are in different regions, as far as that is known."""
        regions = self.region_of(joined.initiator), self.region_of(joined.acceptor)
        return None not in regions and regions[0] != regions[1]

    def _known_region(self, region: str) -> str | None:
        # A misspelt region is one error, and not a connection between two regions besides.
        return region if not self.network.regions or region in self.network.regions else None

    def data_centre_of(self, vbr_id: str) -> str | None:
        """The data centre at the far end of a VBR's line, where it is known."""
        vbr = self.network.vbrs.get(vbr_id)
        line = self.network.physical_connections.get(vbr.physical_connection) if vbr is not None else None
        return line.data_centre if line is not None and line.data_centre in self.network.data_centres else None

    @cached_property
    def routes(self) -> tuple[RouteAt, ...]:
        """All custom routes of all routers."""
        return (*self._vpc_routes(), *self._vbr_routes())

    def _vpc_routes(self) -> Iterator[RouteAt]:
        for vpc_id, vpc in self.network.vpcs.items():
            for table_id, table in vpc.route_tables.items():
                path: Path = ("vpcs", vpc_id, "route_tables", table_id, "routes")
                for index, route in enumerate(table.routes):
                    yield RouteAt(route, (*path, index), vpc=vpc_id, table=table_id)

    def _vbr_routes(self) -> Iterator[RouteAt]:
        for vbr_id, vbr in self.network.vbrs.items():
            for index, route in enumerate(vbr.routes):
                yield RouteAt(route, ("vbrs", vbr_id, "routes", index), vbr=vbr_id)

    @cached_property
    def routes_by_router_interface(self) -> Mapping[str, tuple[RouteAt, ...]]:
        """The routes that lead into each router interface."""
        found: dict[str, list[RouteAt]] = {}
        for at in self.routes:
            for name in router_interfaces_of(at.route.next_hop):
                found.setdefault(name, []).append(at)
        return {name: tuple(routes) for name, routes in found.items()}

    def prefixes_into(self, router_interface: str) -> tuple[IPv4Network, ...]:
        """The destinations of the routes that lead into a router interface."""
        return tuple(at.route.destination for at in self.routes_by_router_interface.get(router_interface, ()))

    @cached_property
    def reach(self) -> Mapping[str, Ranges]:
        """What each VPC delivers itself: its CIDR, and what its system table gives to instances (D16)."""
        return {vpc_id: Ranges(_delivered(vpc)) for vpc_id, vpc in self.network.vpcs.items()}


def _delivered(vpc: Vpc) -> Iterator[IPv4Network]:
    yield vpc.cidr
    table = vpc.route_tables.get(SYSTEM_TABLE)
    for route in table.routes if table is not None else ():
        if isinstance(route.next_hop, InstanceHop):
            yield route.destination
