"""A network with the forwarder at another hook than its files say, and whether it is there in the end."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from dataplane.config.loader import load
from dataplane.errors import HostError
from lab.model import ForwarderUse

Hook = Literal["auto", "tc", "xdp", "off"]


@contextmanager
def files_with(network: Path, hook: Hook | None) -> Iterator[list[Path]]:
    """What to apply, so that a network has a hook; for the length of a block.

    Args:
        network: its file, or folder of files.
        hook: None leaves it as it is written.
    """
    if hook is None:
        yield [network]
        return
    with tempfile.TemporaryDirectory(prefix="dataplane-lab-") as made:
        root = load([network]).root
        beside = Path(made) / "hook.yaml"
        beside.write_text(f"version: 1\ndatapath: {{hook: {hook}}}\n")
        if root.child("datapath") is None:
            yield [network, beside]
        else:
            # No two files may have the key, so this is the whole network in one (JSON is YAML).
            plain = root.plain()
            plain["datapath"] = {**(plain["datapath"] or {}), "hook": hook}
            beside.write_text(json.dumps(plain, ensure_ascii=False, indent=1))
            yield [beside]


def check_hook(hook: Hook | None, hosts: Sequence[str], forwarders: Sequence[ForwarderUse]) -> None:
    """Refuse a proof that is of another path than was asked for.

    Raises:
        HostError: a host has the forwarder at another hook, has none, or none of its packets took it.
    """
    if hook in (None, "auto"):
        return
    found = {use.host: use for use in forwarders}
    for host in hosts:
        use = found.get(host)
        if hook == "off" and use is not None:
            raise HostError(f"--hook off was asked for, and {host} has the forwarder under its ports")
        if hook != "off" and (use is None or hook not in use.ports):
            where = f"at {', '.join(use.ports)}" if use is not None else "nowhere"
            raise HostError(
                f"--hook {hook} was asked for, and the forwarder of {host} is {where}: "
                f"`dataplane apply` says why (`dataplane lab up` keeps the lab to look)"
            )
    if hook != "off" and not any(use.packets for use in forwarders):
        raise HostError(f"--hook {hook} was asked for, and the forwarder forwarded no packet")
