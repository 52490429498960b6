"""An instance: a workload with an address in a vSwitch, in a namespace of its own or one that exists."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dataplane.config.base import Described, Model
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


class Attach(Model):
    """An existing network namespace, a container's say, that is plugged in as the instance."""

    namespace: NamespaceName | None = Field(default=None, description="Its name under /run/netns.")
    pid: Annotated[int, Whole("a process id", 1, MAX_PID)] | None = Field(
        default=None, description="A process that lives in it."
    )
    interface: InterfaceName = Field(default="eth0", description="What the interface is called inside.")

    @model_validator(mode="after")
    def _has_one_target(self) -> Self:
        if (self.namespace is None) == (self.pid is None):
            raise refuse("attach needs one of `namespace` and `pid`", None, "write attach: {namespace: web}, say")
        return self


class Instance(Described):
    """A workload."""

    vswitch: ResourceId = Field(description="The vSwitch of this VPC that it is in.")
    ip: HostAddress | None = Field(
        default=None, description="Its address; left out: the lowest free one of the vSwitch (R79)."
    )
    mac: MacAddress | None = Field(default=None, description="Its MAC address; left out: computed from its id.")
    state: Annotated[Literal["running", "stopped"], Word("running", "stopped")] = Field(
        default="running", description="stopped: it keeps its address and is not reachable (R85)."
    )
    forwarding: Flag = Field(
        default=False, description="Whether it forwards packets of others, as the next hop of a route (R66)."
    )
    vni: Vni | None = Field(
        default=None,
        description="The VXLAN network id of what other hosts send by way of it; left out: from its id.",
    )
    attach: Attach | None = Field(default=None, description="An existing namespace or process to plug in.")
