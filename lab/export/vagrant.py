"""``Vagrantfile``: a topology in virtual machines. A machine for each host; one for the nodes of each data centre.

Of the nodes that hang together, the one that a line to a host ends at is the machine itself, with FRR where it is the
data centre's router; the others are namespaces in it. The switch between hosts, and every cable to a host, is a network
of the hypervisor's. Cards have MACs made of their names, by which the guest finds and names them.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dataplane.errors import ConfigError
from lab.around import End
from lab.export.commands import Commands
from lab.export.vagrant_text import HEAD, TAIL
from lab.model import UNDERLAY
from lab.surroundings import PlannedNode, Wire
from lab.topology import Topology

FILE = "Vagrantfile"
_BOX_CARD = "eth0"
"""The card by which Vagrant reaches a machine."""


@dataclass(frozen=True, slots=True)
class Card:
    """A card of a machine.

    Args:
        network: of the hypervisor's, that it is on.
        mtu: in bytes.
    """

    end: End
    mac: str
    network: str
    mtu: int


@dataclass(frozen=True, slots=True)
class Site:
    """A data centre in one machine.

    Args:
        itself: the node that the machine is.
        inside: the nodes in namespaces of it.
    """

    itself: PlannedNode
    inside: tuple[PlannedNode, ...]


def vagrant_text(topology: Topology, folder: Path) -> str:
    """The whole file.

    Args:
        folder: the one that the file will be in: Vagrant looks for the network from there.

    Raises:
        ConfigError: the topology cannot be put into machines; the reason is named.
    """
    return "".join(_Writer(topology, Commands(topology)).text(folder))


@dataclass(frozen=True, slots=True)
class _Writer:
    topology: Topology
    commands: Commands

    def text(self, folder: Path) -> Iterator[str]:
        sites = [self._site(nodes) for nodes in self._groups()]
        machines = [*self.topology.hosts, *(site.itself.id for site in sites)]
        cards = [card for machine in machines for card in self._cards(machine)]
        self._check(cards)
        network = os.path.relpath(self.topology.network, folder)
        yield HEAD.format(name=self.topology.name, network=network, config=self.commands.config, first=machines[0])
        yield f"HOSTS = %w[{' '.join(self.topology.hosts)}].freeze\n\n"
        yield "# Machine => its cards: name, MAC, network of the hypervisor's, MTU.\nCARDS = {\n"
        for machine in machines:
            yield f'  "{machine}" => [\n'
            for card in (card for card in cards if card.end.place == machine):
                yield f'    ["{card.end.ifname}", "{card.mac}", "{card.network}", {card.mtu}],\n'
            yield "  ],\n"
        yield "}.freeze\n\n# Machine => what is typed there at each start, once its cards have names.\nSCRIPTS = {\n"
        for host in self.topology.hosts:
            yield from _script(host, [*self.commands.on_host(host), *self.commands.behind_on_host(host)])
        for site in sites:
            yield from _script(site.itself.id, list(self._at_site(site)))
        yield "}.freeze\n"
        yield TAIL

    def _groups(self) -> list[list[PlannedNode]]:
        """The nodes that hang together by cables and VLANs, without the switch between hosts."""
        nodes = {node.id: node for node in self.topology.surroundings.nodes if node.id != UNDERLAY}
        group = {id: {id} for id in nodes}
        for wire in self.commands.wires():
            first, second = wire.first.place, wire.second.place
            if first in group and second in group:
                joined = group[first] | group[second]
                for id in joined:
                    group[id] = joined
        return [[nodes[id] for id in nodes if id in ids] for ids in _distinct(list(group.values()))]

    def _site(self, nodes: Sequence[PlannedNode]) -> Site:
        outside = {end.place for end, _, _ in self._outer_ends()}
        doors = [node for node in nodes if node.id in outside]
        if len(doors) > 1:
            found = " and ".join(node.id for node in doors)
            raise ConfigError(f"{found} hang together, and cables to hosts end at each: one machine cannot be both")
        itself = doors[0] if doors else nodes[0]
        return Site(itself, tuple(node for node in nodes if node.id != itself.id))

    def _outer_ends(self) -> Iterator[tuple[End, str, int]]:
        """The ends of cables that are cards of machines, each with its network and MTU."""
        around = {node.id for node in self.topology.surroundings.nodes} - {UNDERLAY}
        for number, wire in enumerate(self.commands.wires(), 1):
            ends = (wire.first, wire.second)
            if all(end.place in around for end in ends):
                continue
            on_switch = any(end.place == UNDERLAY for end in ends)
            network = f"{self.topology.name}-{UNDERLAY if on_switch else f'wire-{number}'}"
            yield from ((end, network, wire.mtu) for end in ends if end.place != UNDERLAY)

    def _cards(self, machine: str) -> Iterator[Card]:
        for end, network, mtu in self._outer_ends():
            if end.place == machine:
                yield Card(end, _mac(self.topology.name, end), network, mtu)

    def _check(self, cards: Sequence[Card]) -> None:
        for card in cards:
            if card.end.ifname == _BOX_CARD:
                remedy = f"call it eth2, say, in {self.topology.network.name} and lab.yaml"
                raise ConfigError(f"{card.end}: Vagrant reaches a machine by its {_BOX_CARD}; {remedy}")

    def _at_site(self, site: Site) -> Iterator[str]:
        """Namespaces first, with the cables between nodes; then what each node is.

        At the next start all of this is done again. Cables by their own names: what goes with a namespace goes late.
        """
        within = {site.itself.id: "", **{node.id: node.id for node in site.inside}}
        for wire in self.commands.wires():
            if wire.first.place in within and wire.second.place in within:
                mine = [end.ifname for end in (wire.first, wire.second) if not within[end.place]]
                yield from (f"ip link delete {ifname} 2>/dev/null || true" for ifname in mine)
        for node in site.inside:
            yield f"ip netns delete {node.id} 2>/dev/null || true"
            yield f"ip netns add {node.id}"
            yield f"ip -n {node.id} link set lo up"
        for wire in self.commands.wires():
            if wire.first.place in within and wire.second.place in within:
                yield from _veth(wire, within)
        for node in site.inside:
            yield from _sysctls(node, f"ip netns exec {node.id} ")
        yield from _sysctls(site.itself, "")
        yield from self.commands.at_node(site.itself, is_frr=bool(site.itself.cpe))
        for node in site.inside:
            yield from (f"ip netns exec {node.id} {line}" for line in self.commands.at_node(node))


def _distinct(groups: list[set[str]]) -> list[set[str]]:
    return [group for number, group in enumerate(groups) if group not in groups[:number]]


def _veth(wire: Wire, within: dict[str, str]) -> Iterator[str]:
    """A cable inside a machine.

    Args:
        within: node -> its namespace; empty for the machine itself.
    """
    ends = (wire.first, wire.second)
    here, there = (f"{end.ifname} netns {space}" if (space := within[end.place]) else end.ifname for end in ends)
    yield f"ip link add {here} mtu {wire.mtu} type veth peer name {there} mtu {wire.mtu}"
    for end in ends:
        space = within[end.place]
        yield f"ip -n {space} link set {end.ifname} up" if space else f"ip link set {end.ifname} up"


def _sysctls(node: PlannedNode, prefix: str) -> Iterator[str]:
    words = " ".join(f"{name.replace('/', '.')}={value}" for name, value in node.sysctls.items() if "ipv6" not in name)
    yield f"{prefix}sysctl -qw {words}"


def _script(machine: str, lines: Sequence[str]) -> Iterator[str]:
    yield f"  \"{machine}\" => <<~'SH',\n    set -eu\n"
    yield from (f"    {line}\n" for line in lines)
    yield "  SH\n"


def _mac(topology: str, end: End) -> str:
    """Locally administered, and the same each time."""
    return "525400" + hashlib.sha256(f"{topology} {end}".encode()).hexdigest()[:6]
