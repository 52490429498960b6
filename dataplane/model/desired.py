"""Desired state: which kernel objects must be there, and who asks for each of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from dataplane.model.forwarding import LegState
from dataplane.model.ids import IdBook, IdName
from dataplane.model.kernel import KernelObject, Key
from dataplane.model.leg import NO_VERDICTS, LegVerdicts
from dataplane.model.probe import Probe
from dataplane.model.resource import Origin, Resource


@dataclass(frozen=True, slots=True)
class Wanted:
    """One desired object.

    Args:
        owner: the resource that asks for it.
        origin: the line that declares that resource.
        units: the units (VPC ids) that stand or fall with it (P2).
    """

    object: KernelObject
    owner: Resource
    origin: Origin
    units: frozenset[str]


@dataclass(frozen=True, slots=True)
class Declared:
    """A resource as the configuration alone has it: its state once all of its objects are there.

    Args:
        state: in the words of D7 (Available, Active, Inactive, Blackhole, ...).
        reason: why it is not in its good state; empty otherwise.
        kernel_object: the object that a person would look at.
        unit: the unit it belongs to.
        detail: what of the configuration a person wants to see beside it (R70, R87).
    """

    resource: Resource
    origin: Origin
    state: str
    reason: str = ""
    kernel_object: str = ""
    unit: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Desired:
    """The result of a compilation.

    Args:
        wanted: objects by key, in the order in which the passes asked for them.
        declared: every resource with its state.
        notes: one sentence per feature that the file asks for and this version does not build.
        book: the id book to remember before applying.
        used: the names in it that this configuration uses.
        addresses: instance id -> its address, given or chosen.
        verdicts: what was said of legs.
        leg_states: router interface -> its state, of those that are down.
        probes: the health checks of this host.
        is_probing: somebody sends these probes, and stores what comes of them in the forwarder's map of legs.
    """

    wanted: Mapping[Key, Wanted]
    declared: tuple[Declared, ...]
    notes: tuple[str, ...]
    book: IdBook
    used: frozenset[IdName]
    addresses: Mapping[str, IPv4Address]
    verdicts: LegVerdicts = NO_VERDICTS
    leg_states: Mapping[str, LegState] = field(default_factory=dict)
    probes: tuple[Probe, ...] = ()
    is_probing: bool = False


NOTHING = Desired({}, (), (), IdBook(), frozenset(), {})
"""The empty desired state: what ``destroy`` asks for."""
