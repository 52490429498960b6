"""The compiler: the list of passes, run over one configuration (design, section 2).

Adding a feature adds a module and one line in ``PASSES``.
"""

from collections.abc import Callable, Mapping
from ipaddress import IPv4Address

from dataplane.compile.addresses import assign_addresses
from dataplane.compile.context import Compilation
from dataplane.compile.forwarder import with_forwarder
from dataplane.compile.health import compile_health_checks
from dataplane.compile.instance import compile_instances
from dataplane.compile.leg import leg_states
from dataplane.compile.leg_notes import leg_notes
from dataplane.compile.not_built import notes
from dataplane.compile.peering import compile_peerings
from dataplane.compile.probe import probes_of
from dataplane.compile.route_table import compile_route_tables
from dataplane.compile.service import compile_services
from dataplane.compile.shaper import compile_shapers, limit_notes
from dataplane.compile.tunnel import compile_tunnels
from dataplane.compile.underlay import compile_underlay
from dataplane.compile.vbr import compile_vbrs
from dataplane.compile.vpc import compile_host, compile_vpcs
from dataplane.compile.vswitch import compile_vswitches
from dataplane.config import Loaded
from dataplane.config.placement import Placement
from dataplane.model.desired import Desired
from dataplane.model.host import HostFacts
from dataplane.model.ids import IdBook, Numbering
from dataplane.model.leg import NO_VERDICTS, LegVerdicts

PASSES: tuple[Callable[[Compilation], None], ...] = (
    compile_host,
    compile_underlay,
    compile_vpcs,
    compile_vswitches,
    compile_instances,
    compile_services,
    compile_vbrs,
    compile_peerings,
    compile_tunnels,
    compile_shapers,
    compile_health_checks,
    compile_route_tables,
)


def compile_network(
    loaded: Loaded,
    book: IdBook,
    remembered: Mapping[str, IPv4Address],
    facts: HostFacts | None = None,
    here: str = "",
    verdicts: LegVerdicts = NO_VERDICTS,
    *,
    is_probing: bool = False,
) -> Desired:
    """The desired state of this host.

    Args:
        loaded: the checked configuration.
        book: the ids given so far.
        remembered: instance id -> the address that it was given before.
        facts: what this host can do; where it is not asked, what every stock kernel can.
        here: the id of this host; empty where the file names no hosts.
        verdicts: what is said of legs; those that nobody speaks of count as up (D1).
        is_probing: a prober runs here.

    Raises:
        InvalidConfig: an instance cannot have an address (R79), or the file insists on a forwarder that this host
            cannot have.
    """
    numbering = Numbering(book)
    placement = Placement(loaded.network, here)
    states, addresses = leg_states(loaded.network, verdicts), assign_addresses(loaded, remembered)
    c = Compilation(loaded, numbering, addresses, facts or HostFacts(), placement, verdicts, states)
    for compile_pass in PASSES:
        compile_pass(c)
    probes = probes_of(c)
    desired = Desired(
        c.wanted,
        tuple(c.declared),
        (*notes(loaded.network, is_probing=is_probing), *leg_notes(c), *limit_notes(c)),
        numbering.book(),
        frozenset(numbering.used),
        c.addresses,
        verdicts,
        states,
        probes,
        is_probing,
    )
    # Last, since it is made of what all passes have asked for.
    return with_forwarder(desired, loaded, facts or HostFacts())
