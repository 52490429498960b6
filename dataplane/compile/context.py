"""What the passes share: the configuration, the numbering, and the desired objects gathered so far.

A pass reads the configuration and *adds*; it never looks at what another pass added, so that the
order of passes decides nothing but the order of a printed plan.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from dataplane.compile import crossing
from dataplane.config import Loaded
from dataplane.config.instance import Instance
from dataplane.config.network import Network
from dataplane.config.peering import PeeringEnd
from dataplane.config.placement import Placement
from dataplane.config.vbr import Vbr
from dataplane.config.vpc import Vpc
from dataplane.config.vswitch import VSwitch, gateway_of
from dataplane.errors import BugError
from dataplane.model import names
from dataplane.model.desired import Declared, Wanted
from dataplane.model.forwarding import LegState
from dataplane.model.host import HostFacts
from dataplane.model.ids import Numbering
from dataplane.model.kernel import KernelObject, Key
from dataplane.model.leg import NO_VERDICTS, LegVerdicts
from dataplane.model.resource import Origin, Resource


@dataclass
class Compilation:
    """One run of the compiler.

    Args:
        loaded: the checked configuration with the positions of its parts.
        numbering: ids, remembered or new.
        addresses: instance id -> its address.
        facts: what this host can do.
        placement: what of the network is on which host, and which of them this one is.
        verdicts: what is said of legs.
        leg_states: router interface -> its state, of those that are down.
    """

    loaded: Loaded
    numbering: Numbering
    addresses: Mapping[str, IPv4Address]
    facts: HostFacts
    placement: Placement
    verdicts: LegVerdicts = NO_VERDICTS
    leg_states: Mapping[str, LegState] = field(default_factory=dict)
    wanted: dict[Key, Wanted] = field(default_factory=dict)
    declared: list[Declared] = field(default_factory=list)
    _units: dict[tuple[str, ...], frozenset[str]] = field(default_factory=dict)

    @property
    def network(self) -> Network:
        return self.loaded.network

    @property
    def here(self) -> str:
        """The id of this host; empty where the file names no hosts."""
        return self.placement.here

    def vpcs(self) -> Iterator[tuple[str, Vpc]]:
        """The VPCs that have a part on this host."""
        for vpc_id, vpc in self.network.vpcs.items():
            if self.here in self.placement.hosts_of_vpc(vpc_id):
                yield vpc_id, vpc

    def vswitches(self, vpc_id: str) -> Iterator[tuple[str, VSwitch]]:
        """The vSwitches of a VPC that are on this host."""
        for vswitch_id, vswitch in self.network.vpcs[vpc_id].vswitches.items():
            if self.placement.host_of_vswitch(vpc_id, vswitch_id) == self.here:
                yield vswitch_id, vswitch

    def instances(self, vpc_id: str) -> Iterator[tuple[str, Instance]]:
        """The instances of a VPC that are on this host."""
        for instance_id, instance in self.network.vpcs[vpc_id].instances.items():
            if self.placement.host_of_instance(vpc_id, instance_id) == self.here:
                yield instance_id, instance

    def vbrs(self) -> Iterator[tuple[str, Vbr]]:
        """The VBRs whose lines come in at this host."""
        for vbr_id, vbr in self.network.vbrs.items():
            if self.placement.host_of_vbr(vbr_id) == self.here:
                yield vbr_id, vbr

    def is_end_here(self, end: PeeringEnd) -> bool:
        """Whether this host has a part of the router at an end of a connection."""
        return self.here in self.placement.hosts_of_end(end)

    def add(self, item: KernelObject, owner: Resource, origin: Origin, *units: str) -> None:
        """Ask for an object; asking twice for different objects of one key is our bug."""
        previous = self.wanted.get(item.key)
        if previous is not None and previous.object != item:
            raise BugError(f"{owner} asks for {item} and {previous.owner} for {previous.object}: please report this")
        # One set for all objects of a unit: an agent keeps some 24 of them for each instance.
        self.wanted[item.key] = Wanted(item, owner, origin, self._units.setdefault(units, frozenset(units)))

    def declare(self, declared: Declared) -> None:
        """Note a resource and the state it has once its objects are there."""
        self.declared.append(declared)

    def instance_port(self, instance_id: str) -> int:
        """The port id of the router's end of an instance's veth."""
        return self.numbering.number("port", f"instance/{instance_id}")

    def instance_ifname(self, instance_id: str) -> str:
        """The router's interface to an instance."""
        return names.port_ifname("i", self.instance_port(instance_id))

    def router_interface_port(self, router_interface: str) -> int:
        """The port id of a router interface; named by its connection, as the mark on its link is."""
        end = self.network.router_interfaces[router_interface]
        return self.numbering.number("port", f"peering_connection/{end.connection}/{end.role}")

    def router_interface_ifname(self, router_interface: str) -> str:
        """The interface of a router interface in its router's namespace."""
        return names.port_ifname("r", self.router_interface_port(router_interface))

    def tunnel_ifname(self, kind: str, path: str) -> str:
        """The interface of a tunnel in its router's namespace; named by its mark."""
        return names.port_ifname("x", self.numbering.number("port", f"{kind}/{path}"))

    def leg_ifname(self, router_interface: str) -> str:
        """What leaves by a router interface leaves by this link: a veth, or a tunnel to the host of the far router."""
        end = self.network.router_interfaces[router_interface]
        near, far = self.network.peering_connections[end.connection].joined(end.role)
        if far is not None and crossing.target_of(self.placement, near, far, self.here) is not None:
            return self.tunnel_ifname("peering_tunnel", end.connection)
        return self.router_interface_ifname(router_interface)

    def arrival_ifnames(self, router_interface: str) -> list[str]:
        """What comes in by a router interface comes in by these links of its router on this host."""
        end = self.network.router_interfaces[router_interface]
        near, far = self.network.peering_connections[end.connection].joined(end.role)
        if far is None:
            return []
        ways = crossing.ways_in(self.placement, near, far, self.here)
        found = [self.router_interface_ifname(router_interface)] if ways.from_here else []
        return found + ([self.tunnel_ifname("peering_tunnel", end.connection)] if ways.needs_tunnel else [])

    def service_ifname(self, vpc_id: str) -> str:
        """The router's interface to the cloud services of its region."""
        return names.port_ifname("s", self.numbering.number("port", f"service/{vpc_id}"))

    def line_port(self, vbr_id: str) -> int:
        """The port id of a VBR's line."""
        return self.numbering.number("port", f"line/{vbr_id}")

    def line_ifname(self, vbr_id: str) -> str:
        """The interface of a VBR's line in its namespace."""
        return names.port_ifname("v", self.line_port(vbr_id))

    def leg(self, router_interface: str) -> int:
        """The next-hop id of a router interface in its router's namespace."""
        return self.numbering.number("leg", router_interface)

    def mtu(self, vpc_id: str) -> int:
        """The MTU of a VPC's links, in bytes: where it spans hosts, VXLAN needs a part of the underlay's."""
        return self.network.vpcs[vpc_id].mtu or self.placement.largest_mtu(vpc_id)

    def instance_namespace(self, vpc_id: str, instance_id: str) -> str:
        """Where an instance's interface lives: a namespace of ours, or the one that it is attached from."""
        attach = self.network.vpcs[vpc_id].instances[instance_id].attach
        if attach is None:
            return names.instance_namespace(instance_id)
        return attach.namespace if attach.namespace is not None else names.pid_reference(attach.pid or 0)

    def gateway(self, vpc_id: str, vswitch_id: str) -> IPv4Address:
        """The gateway of a vSwitch: its third-last address (R79)."""
        return gateway_of(self.network.vpcs[vpc_id].vswitches[vswitch_id].cidr)

    def first_gateway(self, vpc_id: str) -> IPv4Address | None:
        """The address that a router's ICMP errors to the far side of a connection come from: one of this host's."""
        return min((gateway_of(vswitch.cidr) for _, vswitch in self.vswitches(vpc_id)), default=None)
