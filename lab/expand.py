"""From the flows that a topology declares, by lists, to single flows with their two ends. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import IPv4Address
from itertools import product

from dataplane.model.resource import Origin
from lab.language import FlowSpec, LabFile, NotReachSpec, ReachSpec
from lab.model import Expectation, Flow, Inventory, Node, Protocol

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
            if spec.both_ways and isinstance(destination, Node):
                yield self._flow(path, spec, destination, source, protocol, is_turned=True)

    def _pairs(self, path: Path, spec: FlowSpec) -> list[tuple[Node, Node | IPv4Address]]:
        sources = [self._node((*path, "from"), id) for id in spec.from_]
        targets = [to if isinstance(to, IPv4Address) else self._node((*path, "to"), to) for to in spec.to]
        return [
            (source, target)
            for source, target in product(sources, targets)
            if source is not None and target is not None and source != target
        ]

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
            self._unknown(path, id, "an instance", list(self.inventory.nodes))
        elif node.address is None:
            message = f"instance `{id}` has no `ip:` in the network, so nobody can say what its address must be"
            self.complain(path, message, "write its ip: there")
        return node if node is not None and node.address is not None else None

    def _check_via(self, path: Path, spec: FlowSpec) -> None:
        known = [*self.inventory.nodes, *self.inventory.routers]
        for key, ids in (("via", spec.via), ("back_via", spec.back_via or ())):
            for id in ids:
                if id not in known:
                    self._unknown((*path, key), id, "an instance or VPC", known)

    def _unknown(self, path: Path, id: str, what: str, known: Sequence[str]) -> None:
        close = get_close_matches(id, known, n=1)
        remedy = f"did you mean `{close[0]}`?" if close else f"known here: {', '.join(known)}"
        self.complain(path, f"`{id}` is not {what} of this network", remedy)


def _own_address(node: Node) -> IPv4Address:
    assert node.address is not None  # nodes without one were refused
    return node.address
