"""Who is who in a lab: the nodes that send and receive, the routers between them, and on which host each is. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from dataplane.config.network import Network
from dataplane.config.placement import Placement
from dataplane.model import names
from lab.around import NodeSpec
from lab.model import HOST_NAMESPACE, UNDERLAY, Node, lab_name, node_namespace


@dataclass(frozen=True, slots=True)
class Inventory:
    """Who is who; namespaces are called as ``lab_name`` calls them.

    Args:
        nodes: id -> instance, or node around the hosts.
        routers: VPC id -> host -> the namespace of its part there.
        borders: VBR id -> its namespace.
        lines: VBR id -> the own namespace of its host, and the device there that its line is on.
        services: service id -> its address, the same in every VPC of its region.
        hosts: the names of the hosts, whose own namespaces a way can name by them.
        underlay: the own namespace of a host -> its device on the underlay.
    """

    nodes: Mapping[str, Node]
    routers: Mapping[str, Mapping[str, str]]
    borders: Mapping[str, str] = field(default_factory=dict)
    lines: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    services: Mapping[str, IPv4Address] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()
    underlay: Mapping[str, str] = field(default_factory=dict)

    def namespaces(self, id: str) -> tuple[str, ...]:
        """The namespace that an id of a way means: several of a VPC with parts on several hosts.

        Args:
            id: of an instance or node; where none has it, of a host, VPC or VBR; or ``HOST/VPC``.

        Raises:
            KeyError: there is none of them.
        """
        node = self.nodes.get(id)
        if node is not None:
            return (node.namespace,)
        if id in self.hosts:
            return (lab_name(id, HOST_NAMESPACE, self.hosts),)
        if id in self.borders and id not in self.routers:
            return (self.borders[id],)
        host, slash, vpc = id.rpartition("/")
        parts = self.routers[vpc]
        return (parts[host],) if slash else tuple(parts.values())

    @property
    def known(self) -> tuple[str, ...]:
        """All ids that a way can name."""
        parts = [f"{host}/{vpc}" for vpc, parts in self.routers.items() if len(parts) > 1 for host in parts]
        return (*self.nodes, *self.routers, *self.borders, *self.hosts, *parts)

    def knows(self, id: str) -> bool:
        """Whether a way can name an id."""
        host, slash, vpc = id.rpartition("/")
        return id in self.known or (bool(slash) and host in self.routers.get(vpc, {}))

    def router_of(self, node: Node) -> str | None:
        """The part of its VPC that a node is behind; None of a node around the hosts."""
        return None if node.vpc is None else self.routers[node.vpc][node.host]

    def part(self, id: str) -> tuple[str, str] | None:
        """VPC and host of an id that means one part of a VPC; None where it means none, or several."""
        host, slash, vpc = id.rpartition("/")
        parts = self.routers.get(vpc, {})
        if slash:
            return (vpc, host) if host in parts else None
        return (vpc, next(iter(parts))) if len(parts) == 1 else None

    def router(self, id: str, address: IPv4Address) -> Node:
        """The VRouter of a VPC itself, by one of its addresses, such as the source of a health check (R43).

        Args:
            id: of the VPC, with the host where it has several parts.
        """
        part = self.part(id)
        assert part is not None  # others were refused
        vpc, host = part
        return Node(id, vpc, self.routers[vpc][host], address, "vpc", host)

    def service(self, id: str, vpc: str, host: str) -> Node:
        """A service as a VPC has it on a host."""
        namespace = lab_name(host, names.service_namespace(vpc), self.hosts)
        return Node(id, vpc, namespace, self.services[id], "service", host)

    def hosts_of(self, namespaces: Iterable[str]) -> frozenset[str]:
        """The hosts that some namespaces are on; none of a lab with one host."""
        return frozenset(host for host in self.hosts for name in namespaces if name.startswith(f"{host}/"))

    def describe(self, namespace: str) -> str:
        """A namespace in the words of the network."""
        for node in self.nodes.values():
            if node.namespace == namespace:
                return str(node) if node.vpc is None else f"{node} ({namespace})"
        for id, parts in self.routers.items():
            if namespace in parts.values():
                return f"the router of vpc {id} ({namespace})"
        for id, border in self.borders.items():
            if border == namespace:
                return f"the router of vbr {id} ({namespace})"
        if namespace == HOST_NAMESPACE:
            return "the host's own namespace"
        host = next((host for host in self.hosts if namespace == lab_name(host, HOST_NAMESPACE, self.hosts)), None)
        return f"namespace {namespace}" if host is None else f"the own namespace of {host}"


def take_inventory(network: Network, hosts: tuple[str, ...], specs: Mapping[str, NodeSpec]) -> Inventory:
    """The inventory of a network on some hosts, with what stands around them.

    Args:
        hosts: their names in ``lab.yaml``; those of the network where it names some.
        specs: the nodes around them.
    """
    # Where the file names no hosts, everything is on the one that asks.
    placement = Placement(network, hosts[0])
    nodes = dict(_instances(network, placement, hosts))
    for id, spec in specs.items():
        nodes[id] = Node(id, None, node_namespace(id), _own_address(network, spec), "node")
    if network.hosts:
        nodes[UNDERLAY] = Node(UNDERLAY, None, node_namespace(UNDERLAY), None, "node")
    border_hosts = {vbr: placement.host_of_vbr(vbr) for vbr in network.vbrs}
    devices = {name: line.device for name, line in network.physical_connections.items()}
    return Inventory(
        nodes,
        {
            vpc: {host: lab_name(host, names.vpc_namespace(vpc), hosts) for host in placement.hosts_of_vpc(vpc)}
            for vpc in network.vpcs
        },
        {vbr: lab_name(host, names.vbr_namespace(vbr), hosts) for vbr, host in border_hosts.items()},
        {
            id: (lab_name(border_hosts[id], HOST_NAMESPACE, hosts), devices[vbr.physical_connection])
            for id, vbr in network.vbrs.items()
        },
        {id: service.ip for id, service in network.services.items()},
        hosts,
        {lab_name(id, HOST_NAMESPACE, hosts): host.device for id, host in network.hosts.items()},
    )


def _instances(network: Network, placement: Placement, hosts: tuple[str, ...]) -> Iterable[tuple[str, Node]]:
    for vpc_id, vpc in network.vpcs.items():
        for id, instance in vpc.instances.items():
            namespace = names.instance_namespace(id)
            if instance.attach is not None:
                namespace = instance.attach.namespace or names.pid_reference(instance.attach.pid or 0)
            host = placement.host_of_instance(vpc_id, id)
            yield id, Node(id, vpc_id, lab_name(host, namespace, hosts), instance.ip, host=host)


def _own_address(network: Network, spec: NodeSpec) -> IPv4Address | None:
    """The first address of a node that the file gives it; else that of its first line."""
    for _, address in spec.addresses:
        return address.ip
    lines = [network.vbrs[vbr].peer_ip for vbr in spec.cpe_of if vbr in network.vbrs]
    return lines[0] if lines else None
