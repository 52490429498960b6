"""The rates and drills that a ``lab.yaml`` declares, made into measures of the product's own acceptance. Pure."""

from collections.abc import Iterator, Sequence

from dataplane.accept.language import AcceptanceFile
from dataplane.accept.model import Drill, Measure
from dataplane.accept.plan import Planner
from dataplane.accept.way import End
from dataplane.config.network import Network
from lab.expand import Complain
from lab.inventory import Inventory
from lab.language import LabFile, RateSpec

_SECONDS = 1.0
"""Of each rate: a check that traffic flows, while every test waits for it."""


def ends_of(inventory: Inventory) -> dict[str, End]:
    """Everybody of a lab who has an address: instances, and the nodes around the hosts."""
    known = inventory.nodes.items()
    return {id: End(id, node.address, node.vpc or "") for id, node in known if node.address is not None}


def checks_of(
    file: LabFile, network: Network, inventory: Inventory, complain: Complain
) -> tuple[tuple[Measure, ...], tuple[Drill, ...]]:
    """The measures and drills of a file; what cannot be one is complained about."""
    planner = Planner(network, ends_of(inventory), seconds=_SECONDS)
    asked = AcceptanceFile.model_validate({"version": 1, "measures": list(_measures(file.rates))})
    measures, drills = planner.measures(asked), planner.drills(asked.model_copy(update={"drills": file.drills}))
    for one in planner.complaints:
        path = ("rates", *one.path[1:]) if one.path[0] == "measures" else one.path
        complain(path, one.message, one.remedy)
    return measures, drills


def _measures(rates: Sequence[RateSpec]) -> Iterator[dict[str, object]]:
    for number, spec in enumerate(rates, start=1):
        yield {
            "name": f"rate-{number}",
            "from": list(spec.from_),
            "to": spec.to,
            "kinds": ["stream"],
            "directions": ["inbound", "outbound"] if spec.both_ways else ["inbound"],
            "flows": len(spec.from_),
            "limits": {"stream": {"rate": f"{spec.at_least / 1000:.6f} kbps"}},
        }
