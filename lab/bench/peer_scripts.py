"""The peer's scripts as files, and whether what they make is the same as what the product makes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dataplane.compile.compiler import compile_network
from dataplane.config import Source, load_sources
from dataplane.kernel.driver import KernelDriver
from dataplane.model.desired import Wanted
from dataplane.model.ids import IdBook
from dataplane.model.kernel import Address, Key
from dataplane.plan.planner import make_plan
from lab.bench import peer
from lab.bench.model import BenchError

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class PeerScripts:
    """Commands to run, whose files are written.

    Args:
        make: makes the network on an empty host.
        remove: takes it away.
        wanted: what the product makes of the same file.
    """

    make: Sequence[str | Path]
    remove: Sequence[str | Path]
    wanted: dict[Key, Wanted]


def write_scripts(text: str, folder: Path) -> PeerScripts:
    """Derive the scripts from what the product's compiler asks for, into a new folder."""
    folder.mkdir()
    desired = compile_network(load_sources([Source("network.yaml", text)]), IdBook(), {})
    objects = [wish.object for wish in desired.wanted.values()]
    (folder / "namespaces").write_text(peer.batch(peer.namespace_lines(objects)))
    (folder / "remove").write_text(peer.batch(peer.removal_lines(objects)))
    make = ["set -e", f"ip -batch {folder}/namespaces"]
    for number, visit in enumerate(peer.visits(objects)):
        shell, lines = folder / f"{number}.sh", folder / f"{number}"
        lines.write_text(peer.batch(visit.lines))
        shell.write_text(visit.shell(str(lines)))
        make.append(f"nsenter --net=/run/netns/{visit.namespace} sh {shell}")
    (folder / "make.sh").write_text("\n".join(make) + "\n")
    return PeerScripts(["sh", folder / "make.sh"], ["ip", "-batch", folder / "remove"], dict(desired.wanted))


def require_same(scripts: PeerScripts) -> None:
    """Look at what the peer has made with the product's eyes.

    Addresses are left out: iproute2 6.1 cannot give them the mark that makes them ours, so that they show as foreign.

    Raises:
        BenchError: something else differs, so that the two cannot be compared.
    """
    observation = KernelDriver().observe([wish.object for wish in scripts.wanted.values()])
    plan = make_plan(scripts.wanted, observation.objects)
    unequal = [action for action in plan.actions if not isinstance(action.object, Address)]
    if unequal:
        shown = "; ".join(f"{action.verb.value} {action.object}" for action in unequal[:_SHOWN])
        raise BenchError(f"the peer makes another network than the product, {len(unequal)} differences: {shown}")
    present = {foreign.key for foreign in observation.foreign}
    missing = [key for key, wish in scripts.wanted.items() if isinstance(wish.object, Address) and key not in present]
    if missing:
        raise BenchError(f"the peer makes no address {missing[0]}, nor {len(missing) - 1} others")
