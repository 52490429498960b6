"""Where a person means: a node of a lab that is up, by the names that people use.

``ecs-1`` (an instance), ``vpc-a``, ``vbr-1`` (routers), ``idc-router`` (a node around the host), ``host-1`` (the
simulated host), ``dp-i-ecs-1`` (a namespace);
with the lab in front (``vpc-peering/ecs-1``) where several labs have one of that name.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from dataplane.errors import ConflictError, HostError
from dataplane.model import names
from lab import pins
from lab.host import SimulatedHost
from lab.runner import LabStatus
from lab.syscalls import CLONE_NEWNET, setns


@dataclass(frozen=True, slots=True)
class Place:
    """A place to run a program in.

    Args:
        namespace: the network namespace in the host; empty for the host itself, and for a node around it.
        name: what people call it.
        node: the id of a node around the host; empty for all others.
    """

    host: SimulatedHost
    namespace: str
    name: str
    node: str = ""

    def enter(self) -> str:
        """Move this process to the host of the place, and of a node into its network too.

        Returns:
            The reference of the network namespace that is to be entered still; empty where this is the place.
        """
        if not self.node:
            self.host.enter()
            return self.namespace
        # Open it first: inside the host, the folder of pins is out of sight.
        descriptor = os.open(pins.node_pin(self.host.topology, self.node), os.O_RDONLY | os.O_CLOEXEC)
        self.host.enter()
        setns(descriptor, CLONE_NEWNET)
        os.close(descriptor)
        return names.pid_reference(os.getpid())

    def __str__(self) -> str:
        return f"{self.host.topology}/{self.name}"


def places(labs: list[LabStatus]) -> list[Place]:
    """Every place of every lab, hosts first, by the shortest name it has."""
    found: list[Place] = []
    for lab in labs:
        existing = [host for host in lab.hosts if host.exists]
        for host in existing:
            found += _places(host.host, host.namespaces)
        for host in existing[:1]:
            found += [Place(host.host, "", node, node) for node in lab.pins.nodes]
    return found


def _places(host: SimulatedHost, namespaces: tuple[str, ...]) -> Iterator[Place]:
    yield Place(host, "", host.name)
    prefixes = (names.instance_namespace(""), names.vpc_namespace(""), names.vbr_namespace(""))
    for namespace in namespaces:
        prefix = next((prefix for prefix in prefixes if namespace.startswith(prefix)), "")
        yield Place(host, namespace, namespace.removeprefix(prefix))


def find_place(text: str, labs: list[LabStatus]) -> Place:
    """The one place that a text means.

    Raises:
        HostError: no lab that is up has such a node; near misses are named.
        ConflictError: several have one; their full names are in the message.
    """
    known = places(labs)
    lab, slash, name = text.rpartition("/")
    found = [
        place for place in known if name in (place.name, place.namespace) and (not slash or place.host.topology == lab)
    ]
    if len(found) == 1:
        return found[0]
    if len(found) > 1:
        choices = ", ".join(f"{place.host.topology}/{place.namespace or place.name}" for place in found)
        raise ConflictError(f"`{text}` may be {choices}: write one of these")
    if not known:
        raise HostError("no lab is up: start one with `dataplane lab up NAME` (`dataplane lab list` has the names)")
    close = get_close_matches(text, [place.name for place in known] + [str(place) for place in known], n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "`dataplane lab status -o yaml` lists what there is"
    raise HostError(f"no lab that is up has a node `{text}`: {hint}")
