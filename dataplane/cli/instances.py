"""Which namespace an instance is in: by the names under /run/netns, and for attached ones by the applied files.

In a network of several hosts it also says which other host has what is not here.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from dataplane.cli.context import did_you_mean, folders
from dataplane.errors import HostError
from dataplane.model import names

if TYPE_CHECKING:
    from dataplane.config.network import Network


NETNS_DIRECTORY = Path("/run/netns")
"""The driver's own constant lives with its netlink imports, for which completion has no time."""


def own_namespaces() -> dict[str, str]:
    """Instance id -> namespace reference, of every instance of this host with a namespace of ours. Cheap."""
    prefix = names.instance_namespace("")
    found = sorted(entry.name for entry in NETNS_DIRECTORY.iterdir()) if NETNS_DIRECTORY.is_dir() else []
    return {name.removeprefix(prefix): name for name in found if name.startswith(prefix)}


@dataclass(frozen=True, slots=True)
class Applied:
    """The network that was applied last.

    Args:
        network: None where nothing was.
        here: which of its hosts this one is; empty where it names none.
    """

    network: "Network | None" = None
    here: str = ""

    @classmethod
    def load(cls) -> Self:
        """Read it again.

        Raises:
            ConfigError: the applied files cannot be read any more.
        """
        from dataplane.agent.store import Store
        from dataplane.config import load_sources

        applied = Store(folders().state).load().applied
        return cls(load_sources(applied.sources).network, applied.host) if applied.sources else cls()

    def attached(self) -> dict[str, str]:
        """Instance id -> namespace reference, of every instance here that is attached from elsewhere."""
        if self.network is None:
            return {}
        return {
            instance_id: instance.attach.namespace or names.pid_reference(instance.attach.pid or 0)
            for vpc in self.network.vpcs.values()
            for instance_id, instance in vpc.instances.items()
            if instance.attach is not None and self.here in self.hosts_of("instance", instance_id)
        }

    def hosts_of(self, kind: str, name: str) -> tuple[str, ...]:
        """The hosts that an instance, a VPC, a VBR or a peering connection is on; none where there is no such thing."""
        if self.network is None:
            return ()
        from dataplane.config.placement import Placement

        placement = Placement(self.network, self.here)
        if kind == "vpc" and name in self.network.vpcs:
            return placement.hosts_of_vpc(name)
        if kind == "vbr" and name in self.network.vbrs:
            return (placement.host_of_vbr(name),)
        if kind == "peering_connection" and name in self.network.peering_connections:
            ends = self.network.peering_connections[name].ends()
            return tuple(sorted({host for _, end in ends for host in placement.hosts_of_end(end)}))
        vpcs = (vpc_id for vpc_id, vpc in self.network.vpcs.items() if name in vpc.instances)
        return tuple(placement.host_of_instance(vpc_id, name) for vpc_id in vpcs) if kind == "instance" else ()

    def elsewhere(self, kind: str, name: str) -> str:
        """The sentence about something that is on other hosts only; empty where it is here, or nowhere."""
        hosts = self.hosts_of(kind, name)
        if not hosts or self.here in hosts:
            return ""
        words = kind.replace("_", " ")
        return f"{words} {name} is on {' and '.join(hosts)} (this is {self.here}): run it there."


def instance_namespace(instance: str) -> str:
    """The namespace reference of an instance.

    Raises:
        HostError: there is no such instance here; says where it is, or which are close to it.
    """
    known = own_namespaces()
    if instance not in known:
        applied = Applied.load()
        elsewhere = applied.elsewhere("instance", instance)
        if elsewhere:
            raise HostError(elsewhere)
        known |= applied.attached()
    if instance in known:
        return known[instance]
    if not known:
        raise HostError(f"there is no instance {instance}: nothing is applied on this host.")
    raise HostError(
        f"there is no instance {instance} on this host.{did_you_mean(instance, known)} "
        "`dataplane status --kind instance` lists them."
    )
