"""An instance: a workload with an address in a vSwitch, in a namespace of its own or one that exists."""

from typing import Annotated, Literal, Self

from dataplane.config.base import Described, Model, key, model
from dataplane.config.kinds import (
    Flag,
    HostAddress,
    InterfaceName,
    MacAddress,
    NamespaceName,
    ResourceId,
    Vni,
    Whole,
    Word,
)
from dataplane.config.values import refuse

MAX_PID = 4_194_304
"""The kernel's own limit (PID_MAX_LIMIT)."""


@model
class Attach(Model):
    """An existing network namespace, a container's say, that is plugged in as the instance."""

    namespace: NamespaceName | None = key(default=None, description="Its name under /run/netns.")
    pid: Annotated[int, Whole("a process id", 1, MAX_PID)] | None = key(
        default=None, description="A process that lives in it."
    )
    interface: InterfaceName = key(default="eth0", description="What the interface is called inside.")

    def checked(self) -> Self:
        if (self.namespace is None) == (self.pid is None):
            raise refuse("attach needs one of `namespace` and `pid`", None, "write attach: {namespace: web}, say")
        return self


@model
class Instance(Described):
    """A workload."""

    vswitch: ResourceId = key(description="The vSwitch of this VPC that it is in.")
    ip: HostAddress | None = key(
        default=None, description="Its address; left out: the lowest free one of the vSwitch (R79)."
    )
    mac: MacAddress | None = key(default=None, description="Its MAC address; left out: computed from its id.")
    state: Annotated[Literal["running", "stopped"], Word("running", "stopped")] = key(
        default="running", description="stopped: it keeps its address and is not reachable (R85)."
    )
    forwarding: Flag = key(
        default=False, description="Whether it forwards packets of others, as the next hop of a route (R66)."
    )
    vni: Vni | None = key(
        default=None,
        description="The VXLAN network id of what other hosts send by way of it; left out: from its id.",
    )
    attach: Attach | None = key(default=None, description="An existing namespace or process to plug in.")
