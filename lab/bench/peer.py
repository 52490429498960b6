"""The peer: the same objects made with ``ip -batch``, from scripts that are written before the clock starts. Pure.

It is what a careful person would write, and spares what can be spared: one ``ip -batch`` makes all namespaces, one
shell in each sets its sysctls with its own ``echo`` and becomes the ``ip -batch`` for everything else there. An
instance is entered once, a router three times: its settings come before its ports, and its routes after all links are
up. Nothing is checked, planned, remembered, verified or could be undone.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dataplane.model import names
from dataplane.model.kernel import (
    Address,
    KernelObject,
    KernelRoute,
    Namespace,
    Neighbour,
    Nexthop,
    RouteType,
    Rule,
    Sysctl,
    Veth,
    VethEnd,
    born_with,
)
from lab.bench.model import BenchError

_OURS = f"protocol {names.ROUTE_PROTOCOL}"


@dataclass(slots=True)
class Visit:
    """One stay in a namespace.

    Args:
        sysctls: path below /proc/sys, and value.
        lines: of the batch that follows.
    """

    namespace: str
    sysctls: list[tuple[str, str]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def shell(self, batch_file: str) -> str:
        """What the shell in the namespace reads."""
        settings = [f"echo {value} >/proc/sys/{name}" for name, value in self.sysctls]
        return "\n".join(["set -e", *settings, f"exec ip -batch {batch_file}"]) + "\n"


def batch(lines: Iterable[str]) -> str:
    """A file for ``ip -batch``."""
    return "".join(f"{line}\n" for line in lines)


def namespace_lines(objects: Iterable[KernelObject]) -> list[str]:
    """The batch that makes all namespaces."""
    return [f"netns add {item.name}" for item in objects if isinstance(item, Namespace)]


def removal_lines(objects: Iterable[KernelObject]) -> list[str]:
    """The batch that takes them away, and all else with them."""
    return [f"netns delete {item.name}" for item in objects if isinstance(item, Namespace)]


def visits(objects: Sequence[KernelObject]) -> list[Visit]:
    """The stays in namespaces that make everything else, in order.

    Raises:
        BenchError: there is an object that the peer has no words for.
    """
    plan = _Plan.of(objects)
    for item in objects:
        plan.place(item)
    return [visit for stays in plan.stays() for visit in stays if visit.sysctls or visit.lines]


@dataclass(slots=True)
class _Plan:
    """Stays by namespace: routers before there are ports, instances, routers' links, what goes over the links."""

    routers: Mapping[str, tuple[Visit, Visit, Visit]]
    instances: Mapping[str, Visit]

    @classmethod
    def of(cls, objects: Iterable[KernelObject]) -> "_Plan":
        spaces = [item for item in objects if isinstance(item, Namespace)]
        routers = [item.name for item in spaces if names.is_router_mark(item.mark)]
        instances = [item.name for item in spaces if not names.is_router_mark(item.mark)]
        return cls(
            {name: (Visit(name), Visit(name), Visit(name)) for name in routers},
            {name: Visit(name) for name in instances},
        )

    def stays(self) -> Iterator[Iterable[Visit]]:
        yield (first for first, _, _ in self.routers.values())
        yield self.instances.values()
        yield (second for _, second, _ in self.routers.values())
        yield (third for _, _, third in self.routers.values())

    def place(self, item: KernelObject) -> None:
        """Put one object into the stay that makes it. Objects come in the order of the product's own passes."""
        match item:
            case Namespace():
                self._early(item.name).lines.append(f'link set dev lo alias "{item.mark}" up')
                if item.name in self.routers:
                    self._late(item.name).lines += [f"rule delete priority {rule.priority}" for rule in born_with(item)]
            case Sysctl():
                if item.namespace != names.HOST:
                    stay = self._early if item.ifname is None else self._middle
                    stay(item.namespace).sysctls.append((item.name, item.value))
            case Veth():
                self._place_pair(item)
            case _:
                self._late(item.namespace).lines.append(line(item))

    def _place_pair(self, pair: Veth) -> None:
        """From the instance where there is one, since its end is needed first."""
        assert pair.a is not None
        assert pair.b is not None
        near, far = (pair.b, pair.a) if pair.b.namespace in self.instances else (pair.a, pair.b)
        self._early(near.namespace).lines.append(
            f"link add {_end(near, pair.mtu)} type veth peer {_end(far, pair.mtu)} netns {far.namespace}"
        )
        for end in (near, far):
            up = " up" if end.up else ""
            self._middle(end.namespace).lines.append(f'link set dev {end.ifname} alias "{pair.mark}"{up}')

    def _early(self, namespace: str) -> Visit:
        return self.routers[namespace][0] if namespace in self.routers else self.instances[namespace]

    def _middle(self, namespace: str) -> Visit:
        return self.routers[namespace][1] if namespace in self.routers else self.instances[namespace]

    def _late(self, namespace: str) -> Visit:
        return self.routers[namespace][2] if namespace in self.routers else self.instances[namespace]


def _end(end: VethEnd, mtu: int) -> str:
    return f"name {end.ifname} index {end.ifindex} address {end.mac} mtu {mtu}"


def line(item: KernelObject) -> str:
    """The line that makes one object, in its namespace.

    Raises:
        BenchError: there are no words for it here.
    """
    match item:
        case Address():
            return f"address add {item.address} dev {item.ifname}"
        case Neighbour():
            return f"neighbour add {item.address} lladdr {item.mac} dev {item.ifname} nud permanent {_OURS}"
        case Nexthop():
            way = "blackhole" if item.ifname is None else f"via {item.via} dev {item.ifname} onlink"
            return f"nexthop add id {item.id} {way} {_OURS}"
        case KernelRoute():
            return _route(item)
        case Rule():
            return _rule(item)
    raise BenchError(f"the peer cannot make a {type(item).__name__}; add it to lab/bench/peer.py")


def _route(item: KernelRoute) -> str:
    kind = "" if item.type is RouteType.UNICAST else f"{item.type.value} "
    words = [f"route add {kind}{item.destination} table {item.table} {_OURS}"]
    words += [f"nhid {item.nexthop}"] if item.nexthop is not None else []
    words += [f"via {item.via}"] if item.via is not None else []
    words += [f"dev {item.ifname}"] if item.ifname is not None else []
    words += ["onlink"] if item.via is not None else []
    words += [f"src {item.source}"] if item.source is not None else []
    words += [f"metric {item.metric}"] if item.metric else []
    return " ".join(words)


def _rule(item: Rule) -> str:
    words = [f"rule add priority {item.priority}"]
    words += [f"from {item.source}"] if item.source is not None else []
    words += [f"to {item.destination}"] if item.destination is not None else []
    words += [f"iif {item.iif}"] if item.iif is not None else []
    return " ".join([*words, f"lookup {item.table} {_OURS}"])
