"""Which namespace an instance is in: by the names under /run/netns, and for attached ones by the applied files."""

from pathlib import Path
from typing import TYPE_CHECKING

from dataplane.cli.context import did_you_mean, folders
from dataplane.errors import HostError
from dataplane.model import names

if TYPE_CHECKING:
    from dataplane.config import Loaded


NETNS_DIRECTORY = Path("/run/netns")
"""The driver's own constant lives with its netlink imports, for which completion has no time."""


def own_namespaces() -> dict[str, str]:
    """Instance id -> namespace reference, of every instance of this host with a namespace of ours. Cheap."""
    prefix = names.instance_namespace("")
    found = sorted(entry.name for entry in NETNS_DIRECTORY.iterdir()) if NETNS_DIRECTORY.is_dir() else []
    return {name.removeprefix(prefix): name for name in found if name.startswith(prefix)}


def attached_namespaces() -> dict[str, str]:
    """Instance id -> namespace reference, of every instance that the applied files attach from elsewhere.

    Raises:
        ConfigError: the applied files cannot be read any more.
    """
    from dataplane.agent.store import Store
    from dataplane.config import load_sources

    sources = Store(folders().state).load().applied.sources
    return _attached(load_sources(sources)) if sources else {}


def instance_namespace(instance: str) -> str:
    """The namespace reference of an instance.

    Raises:
        HostError: there is no such instance here; says which are close to it.
    """
    known = own_namespaces()
    if instance not in known:
        known |= attached_namespaces()
    if instance in known:
        return known[instance]
    if not known:
        raise HostError(f"there is no instance {instance}: nothing is applied on this host.")
    raise HostError(
        f"there is no instance {instance} on this host.{did_you_mean(instance, known)} "
        "`dataplane status --kind instance` lists them."
    )


def _attached(loaded: "Loaded") -> dict[str, str]:
    return {
        instance_id: instance.attach.namespace or names.pid_reference(instance.attach.pid or 0)
        for vpc in loaded.network.vpcs.values()
        for instance_id, instance in vpc.instances.items()
        if instance.attach is not None
    }
