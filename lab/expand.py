"""From the flows that a topology declares, by lists, to single flows with their two ends. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import IPv4Address
from itertools import product

from dataplane.model.resource import Origin
from lab.inventory import Inventory
from lab.language import FlowSpec, LabFile, NotReachSpec, ReachSpec
from lab.model import Expectation, Flow, Node, Protocol

Path = tuple[str | int, ...]
Complain = Callable[[Path, str, str], None]
"""Takes the place in the file, what is wrong, and what would be right."""


@dataclass(frozen=True, slots=True)
class FlowMaker:
    """Makes flows, and complains about what cannot be one.

    Args:
        origin: the position of a path in ``lab.yaml``.
    """

    inventory: Inventory
    origin: Callable[[Path], Origin]
    complain: Complain

    def flows(self, file: LabFile) -> Iterator[Flow]:
        """All flows of a file, in its order."""
        for id in file.behind:
            self._node(("behind", id), id)
        for number, reach in enumerate(file.must_reach):
            path: Path = ("must_reach", number)
            yield from self._expand(path, reach)
            for source, destination in self._pairs(path, reach) if reach.hops else ():
                yield self._flow(path, reach, source, destination, Protocol.TRACE)
        for number, not_reach in enumerate(file.must_not_reach):
            yield from self._expand(("must_not_reach", number), not_reach)

    def _expand(self, path: Path, spec: FlowSpec) -> Iterator[Flow]:
        self._check_via(path, spec)
        for (source, destination), protocol in product(self._pairs(path, spec), spec.protocol):
            yield self._flow(path, spec, source, destination, protocol)
            if spec.both_ways and isinstance(destination, Node) and self._has_two_ends(path, destination):
                yield self._flow(path, spec, destination, source, protocol, is_turned=True)

    def _pairs(self, path: Path, spec: FlowSpec) -> list[tuple[Node, Node | IPv4Address]]:
        pairs: list[tuple[Node, Node | IPv4Address]] = []
        for source, to in product([self._node((*path, "from"), id) for id in spec.from_], spec.to):
            target = to if isinstance(to, IPv4Address) else self._target(path, spec, source, to)
            if source is not None and target is not None and source != target:
                pairs.append((source, target))
        return pairs

    def _target(self, path: Path, spec: FlowSpec, source: Node | None, id: str) -> Node | IPv4Address | None:
        """An instance, a node, a router by one of its addresses, or a service as the VPC of the flow has it."""
        is_router = id.rpartition("/")[2] in self.inventory.routers and id not in self.inventory.nodes
        if is_router and spec.address is not None and self.inventory.knows(id):
            return self._router(path, spec.address, id)
        if id not in self.inventory.services or id in self.inventory.nodes:
            return self._node((*path, "to"), id)
        if not isinstance(spec, ReachSpec):
            return self.inventory.services[id]  # wherever it is: it must not be reached there
        if source is not None and source.vpc is not None:
            return self.inventory.service(id, source.vpc, source.host)
        parts = [part for step in spec.via for part in map(self.inventory.part, step) if part is not None]
        if not parts:
            remedy = "end `via` with the VPC whose service it is"
            self.complain((*path, "to"), f"`{id}` is a service, and each VPC has one of its own", remedy)
            return None
        return self.inventory.service(id, *parts[-1])

    def _router(self, path: Path, address: IPv4Address, id: str) -> Node | None:
        if self.inventory.part(id) is None:
            choices = " or ".join(f"{host}/{id}" for host in self.inventory.routers[id])
            self.complain((*path, "to"), f"`{id}` has a router on several hosts", f"write {choices}")
            return None
        return self.inventory.router(id, address)

    def _has_two_ends(self, path: Path, destination: Node) -> bool:
        only_answers = destination.id not in self.inventory.nodes
        if only_answers:
            self.complain((*path, "both_ways"), f"{destination} only answers", "remove both_ways")
        return not only_answers

    def _flow(
        self,
        path: Path,
        spec: FlowSpec,
        source: Node,
        target: Node | IPv4Address,
        protocol: Protocol,
        *,
        is_turned: bool = False,
    ) -> Flow:
        destination = target if isinstance(target, Node) else None
        back_via = tuple(reversed(spec.via)) if spec.back_via is None else spec.back_via
        via, back_via = (back_via, spec.via) if is_turned else (spec.via, back_via)
        is_reach = isinstance(spec, ReachSpec)
        return Flow(
            expectation=Expectation.REACH if is_reach else Expectation.NOT_REACH,
            source=source,
            destination=destination,
            address=spec.address or (target if isinstance(target, IPv4Address) else _own_address(target)),
            protocol=protocol,
            port=spec.port if protocol in (Protocol.TCP, Protocol.UDP) else 0,
            via=via,
            back_via=back_via if is_reach else (),
            hops=spec.hops if isinstance(spec, ReachSpec) and protocol is Protocol.TRACE else (),
            answer=spec.answer if isinstance(spec, NotReachSpec) else "",
            origin=self.origin(path),
        )

    def _node(self, path: Path, id: str) -> Node | None:
        node = self.inventory.nodes.get(id)
        if node is None:
            self._unknown(path, id, "an instance or node", [*self.inventory.nodes, *self.inventory.services])
        elif node.address is None:
            if node.vpc is None:
                self.complain(path, f"node `{id}` has no address", "give one of its interfaces an address:")
                return None
            message = f"instance `{id}` has no `ip:` in the network, so nobody can say what its address must be"
            self.complain(path, message, "write its ip: there")
        return node if node is not None and node.address is not None else None

    def _check_via(self, path: Path, spec: FlowSpec) -> None:
        known = self.inventory.known
        for key, way in (("via", spec.via), ("back_via", spec.back_via or ())):
            for id in (id for step in way for id in step):
                if not self.inventory.knows(id):
                    self._unknown((*path, key), id, "an instance, node, VPC, VBR or host", known)

    def _unknown(self, path: Path, id: str, what: str, known: Sequence[str]) -> None:
        close = get_close_matches(id, known, n=1)
        remedy = f"did you mean `{close[0]}`?" if close else f"known here: {', '.join(known)}"
        self.complain(path, f"`{id}` is not {what} of this network", remedy)


def _own_address(node: Node) -> IPv4Address:
    assert node.address is not None  # nodes without one were refused
    return node.address
