"""What is typed in each place around a network, once its cables are there: the same for containers and machines.

Cables are plugged in and up by then, and the sysctls of nodes are set.
"""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from lab.around import End
from lab.model import UNDERLAY
from lab.surroundings import PlannedNode, Surroundings, Vlan, Wire
from lab.topology import Topology

CONFIG = "/etc/dataplane/"
"""Where hosts, and routers that `dataplane cpe` configures, find the network."""

_ASK = "dataplane agent --reload"
"""Ends well once the agent has done what its files say."""

_TRIES = 60
_SWITCH = "switch"
_HOST_SCOPE = 32
_NEVER = 100 * 86_400 * 365
"""An ageing time in the kernel's hundredths of a second."""


@dataclass(frozen=True, slots=True)
class Commands:
    """The commands of a topology, and the cables that they need besides the wires of its file.

    A node whose VLAN is on another node's interface gets a cable of its own to there, at whose near end frames have no
    tag: in the lab that is one link that was moved, which neither tool can do.
    """

    topology: Topology

    @property
    def surroundings(self) -> Surroundings:
        return self.topology.surroundings

    @property
    def config(self) -> str:
        """Where the network is, inside: a file or a folder."""
        return CONFIG + self.topology.network.name

    def wires(self) -> Iterator[Wire]:
        """All cables: those of the file and the underlay, and those to carriers."""
        yield from self.surroundings.wires
        for node, vlan in self._handed_over():
            mtu = next(wire.mtu for wire in self.surroundings.wires if vlan.parent in (wire.first, wire.second))
            yield Wire(End(vlan.parent.place, _access_port(vlan)), End(node.id, vlan.ifname), mtu)

    def on_host(self, host: str) -> Iterator[str]:
        """A host's own address on the underlay: what the agent finds there, as everywhere."""
        underlay = self.surroundings.underlay
        for end, address in underlay.uplinks if underlay is not None else ():
            if end.place == host:
                yield f"ip address replace {address} dev {end.ifname}"

    def behind_on_host(self, host: str) -> Iterator[str]:
        """Addresses behind instances, whose namespaces the agent makes: so it is waited for."""
        nodes = self.topology.inventory.nodes
        here = [id for id in self.topology.behind if nodes[id].vpc is not None and nodes[id].host == host]
        if here:
            yield shlex.join(["sh", "-c", f"for i in $(seq {_TRIES}); do {_ASK} && exit; sleep 1; done; exit 1"])
        for id in here:
            namespace = nodes[id].namespace.rpartition("/")[2]
            yield from (f"ip -n {namespace} address replace {a}/{_HOST_SCOPE} dev lo" for a in self.topology.behind[id])

    def at_node(self, node: PlannedNode, is_frr: bool = False) -> Iterator[str]:
        """All that makes a node what its file says.

        Args:
            is_frr: it is a router with FRR, which keeps its own routes.
        """
        underlay = self.surroundings.underlay
        if node.id == UNDERLAY and underlay is not None:
            yield from _bridge(_SWITCH, underlay.ports)
        yield from self._carry(node)
        for vlan in node.vlans:
            if vlan.parent.place == node.id:
                yield f"ip link add link {vlan.parent.ifname} name {vlan.ifname} type vlan id {vlan.vlan}"
                yield f"ip link set {vlan.ifname} up"
        yield from (f"ip address replace {address} dev {ifname}" for ifname, address in node.addresses)
        if node.cpe:
            yield from self._frr(node) if is_frr else [self._piped(node)]
        yield from (f"ip route replace {destination} via {via}" for destination, via in node.routes)
        for address in self.topology.behind.get(node.id, ()):
            yield f"ip address replace {address}/{_HOST_SCOPE} dev lo"

    def _piped(self, node: PlannedNode) -> str:
        """What the product says to do at this router, word for word; what it cannot say ends the command."""
        return shlex.join(["sh", "-ec", f'said=$({self._cpe(node)}); echo "$said" | sh -e'])

    def _frr(self, node: PlannedNode) -> Iterator[str]:
        """The same in FRR's words, which leave the VLAN interfaces to the system."""
        for line in node.cpe:
            parent, ifname = line.vlan.parent.ifname, line.vlan.ifname
            make = f"ip link add link {parent} name {ifname} type vlan id {line.vlan.vlan}"
            yield f"ip link show {ifname} >/dev/null 2>&1 || {make}"
            yield f"ip link set {ifname} up"
        yield f"{self._cpe(node)} --format frr >/etc/frr/frr.conf"
        yield "systemctl restart frr"

    def _cpe(self, node: PlannedNode) -> str:
        first, *others = [line.vbr for line in node.cpe]
        words = ["dataplane", "cpe", first, self.config, *(word for vbr in others for word in ("--with", vbr))]
        for line in node.cpe:
            words += ["--interface", f"{line.vbr}={line.vlan.parent.ifname}"]
        return shlex.join(words)

    def _handed_over(self) -> Iterator[tuple[PlannedNode, Vlan]]:
        """The VLANs of nodes that are on another node's interface."""
        for node in self.surroundings.nodes:
            for vlan in (*node.vlans, *(line.vlan for line in node.cpe)):
                if vlan.parent.place != node.id:
                    yield node, vlan

    def _carry(self, node: PlannedNode) -> Iterator[str]:
        """Take a line apart by VLAN: one bridge for each interface that others have VLANs on."""
        carried = [vlan for _, vlan in self._handed_over() if vlan.parent.place == node.id]
        for ifname in dict.fromkeys(vlan.parent.ifname for vlan in carried):
            bridge = f"br-{ifname}"[:15]
            yield f"ip link add {bridge} type bridge vlan_filtering 1 vlan_default_pvid 0 mcast_snooping 0"
            yield f"ip link set {bridge} up"
            yield f"ip link set {ifname} master {bridge}"
            for vlan in (vlan for vlan in carried if vlan.parent.ifname == ifname):
                yield f"bridge vlan add dev {ifname} vid {vlan.vlan}"
                yield f"ip link set {_access_port(vlan)} master {bridge}"
                yield f"bridge vlan add dev {_access_port(vlan)} vid {vlan.vlan} pvid untagged"


def _access_port(vlan: Vlan) -> str:
    """The carrier's end of the cable to whoever has a VLAN."""
    return f"access{vlan.number}"


def _bridge(name: str, ports: tuple[str, ...]) -> Iterator[str]:
    """A switch that has never forgotten a MAC, as the lab's."""
    yield f"ip link add {name} type bridge ageing_time {_NEVER} mcast_snooping 0"
    yield from (f"ip link set {port} master {name}" for port in ports)
    yield f"ip link set {name} up"
