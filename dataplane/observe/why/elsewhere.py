"""A network of several hosts as one: the objects of other hosts, each with its host before its namespace.

Pure. The host that asks has no name before its namespaces. The parts of other hosts are as the same file has them,
since their kernels cannot be asked from here.
"""

from collections.abc import Mapping
from dataclasses import replace

from dataplane.model import names
from dataplane.model.desired import Desired, Wanted
from dataplane.model.kernel import (
    ForwarderState,
    KernelObject,
    Key,
    Namespace,
    UnderlayFilter,
    Veth,
    VethEnd,
    VlanLink,
    VxlanLink,
)


def at(host: str, namespace: str) -> str:
    """A namespace of a host as walks call it: ``host-2/dp-vpc-a``; of this host, which is the empty one, its own name.

    The namespace of the host itself is the empty one, so that another host's is ``host-2/``.
    """
    return f"{host}/{namespace}" if host else namespace


def host_of(namespace: str) -> str:
    """The host that a walk's namespace is on; empty for this one."""
    return namespace.partition("/")[0] if "/" in namespace else ""


def name_of(namespace: str) -> str:
    """A walk's namespace as its own host calls it."""
    return namespace.rpartition("/")[2]


def namespace_of(item: KernelObject) -> str:
    """The namespace that an object is in; of a veth, one of both."""
    match item:
        case Namespace():
            return item.name
        case Veth():
            return next((end.namespace for end in item.ends), names.HOST)
        case _:
            return item.namespace


def identity(item: KernelObject) -> Key:
    """What tells the objects of all hosts apart: the key, and the host where the key does not name a namespace."""
    host = host_of(namespace_of(item))
    has_no_namespace = isinstance(item, Veth | VlanLink | VxlanLink | UnderlayFilter | ForwarderState)
    return (host, *item.key) if host and has_no_namespace else item.key


def joined(here: Desired, elsewhere: Mapping[str, Desired]) -> Desired:
    """This host's part and those of others as one, every object under its ``identity``."""
    wanted: dict[Key, Wanted] = dict(here.wanted)
    declared = list(here.declared)
    for host, part in elsewhere.items():
        for wish in part.wanted.values():
            item = _moved(wish.object, host)
            wanted[identity(item)] = replace(wish, object=item)
        declared += part.declared
    return replace(here, wanted=wanted, declared=tuple(declared))


def _moved(item: KernelObject, host: str) -> KernelObject:
    match item:
        case Namespace():
            return replace(item, name=at(host, item.name))
        case Veth():
            return replace(item, a=_end(item.a, host), b=_end(item.b, host))
        case _:
            return replace(item, namespace=at(host, item.namespace))


def _end(end: VethEnd | None, host: str) -> VethEnd | None:
    return replace(end, namespace=at(host, end.namespace)) if end is not None else None
