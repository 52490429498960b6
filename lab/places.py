"""Where a person means: a node of a lab that is up, by the names that people use.

``ecs-1`` (an instance), ``vpc-a``, ``vbr-1`` (routers), ``idc-router`` (a node around the hosts), ``host-1`` (the
simulated host), ``dp-i-ecs-1`` (a namespace);
with the host in front (``host-2/vpc-a``) where several hosts have one of that name, and with the lab in front
(``vpc-peering/ecs-1``, ``three-hosts/host-2/vpc-a``) where several labs have one.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
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
        node: the id of a node around the hosts; empty for all others.
        is_shared: whether another host of the lab has a place of that name.
    """

    host: SimulatedHost
    namespace: str
    name: str
    node: str = ""
    is_shared: bool = False

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

    def answers_to(self, text: str) -> bool:
        """Whether a text may mean it: its name or namespace, with its host, its lab, or both in front."""
        outer, _, name = text.rpartition("/")
        fronts = {"", self.host.topology}
        if not self.node:
            fronts |= {self.host.name, f"{self.host.topology}/{self.host.name}"}
        return name in (self.name, self.namespace or self.name) and outer in fronts

    @property
    def full_name(self) -> str:
        """A text that means this place and no other one."""
        return f"{self._front}/{self.namespace or self.name}"

    @property
    def _front(self) -> str:
        return f"{self.host.topology}/{self.host.name}" if self.is_shared else self.host.topology

    def __str__(self) -> str:
        return f"{self._front}/{self.name}"


def places(labs: list[LabStatus]) -> list[Place]:
    """Every place of every lab, hosts first, by the shortest name it has."""
    found: list[Place] = []
    for lab in labs:
        existing = [host for host in lab.hosts if host.exists]
        named = Counter(namespace for host in existing for namespace in host.namespaces)
        for host in existing:
            found += _places(host.host, host.namespaces, named)
        for host in existing[:1]:
            found += [Place(host.host, "", node, node) for node in lab.pins.nodes]
    return found


def _places(host: SimulatedHost, namespaces: tuple[str, ...], named: Mapping[str, int]) -> Iterator[Place]:
    yield Place(host, "", host.name)
    prefixes = (names.instance_namespace(""), names.vpc_namespace(""), names.vbr_namespace(""))
    for namespace in namespaces:
        prefix = next((prefix for prefix in prefixes if namespace.startswith(prefix)), "")
        yield Place(host, namespace, namespace.removeprefix(prefix), is_shared=named[namespace] > 1)


def find_place(text: str, labs: list[LabStatus]) -> Place:
    """The one place that a text means.

    Raises:
        HostError: no lab that is up has such a node; near misses are named.
        ConflictError: several have one; their full names are in the message.
    """
    known = places(labs)
    found = [place for place in known if place.answers_to(text)]
    if len(found) == 1:
        return found[0]
    if len(found) > 1:
        choices = ", ".join(place.full_name for place in found)
        raise ConflictError(f"`{text}` may be {choices}: write one of these")
    if not known:
        raise HostError("no lab is up: start one with `dataplane lab up NAME` (`dataplane lab list` has the names)")
    close = get_close_matches(text, [place.name for place in known] + [str(place) for place in known], n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "`dataplane lab status -o yaml` lists what there is"
    raise HostError(f"no lab that is up has a node `{text}`: {hint}")
