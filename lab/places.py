"""Where a person means: a node of a lab that is up, by the names that people use.

``ecs-1`` (an instance), ``vpc-a`` (its router), ``host-1`` (the simulated host), ``dp-i-ecs-1`` (a namespace);
with the lab in front (``vpc-peering/ecs-1``) where several labs have one of that name.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from dataplane.errors import ConflictError, HostError
from dataplane.model import names
from lab.host import SimulatedHost
from lab.runner import LabStatus


@dataclass(frozen=True, slots=True)
class Place:
    """A place to run a program in.

    Args:
        namespace: the network namespace in the host; empty for the host itself.
        name: what people call it.
    """

    host: SimulatedHost
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.host.topology}/{self.name}"


def places(labs: list[LabStatus]) -> list[Place]:
    """Every place of every lab, hosts first, by the shortest name it has."""
    return [place for lab in labs for host in lab.hosts if host.exists for place in _places(host.host, host.namespaces)]


def _places(host: SimulatedHost, namespaces: tuple[str, ...]) -> Iterator[Place]:
    yield Place(host, "", host.name)
    prefixes = (names.instance_namespace(""), names.vpc_namespace(""))
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
