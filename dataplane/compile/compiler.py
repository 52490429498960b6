"""The compiler: the list of passes, run over one configuration (design, section 2).

Adding a feature adds a module and one line in ``PASSES``.
"""

from collections.abc import Callable, Mapping
from ipaddress import IPv4Address

from dataplane.compile.addresses import assign_addresses
from dataplane.compile.context import Compilation
from dataplane.compile.health import compile_health_checks
from dataplane.compile.instance import compile_instances
from dataplane.compile.not_built import notes
from dataplane.compile.peering import compile_peerings
from dataplane.compile.route_table import compile_route_tables
from dataplane.compile.service import compile_services
from dataplane.compile.vbr import compile_vbrs
from dataplane.compile.vpc import compile_host, compile_vpcs
from dataplane.compile.vswitch import compile_vswitches
from dataplane.config import Loaded
from dataplane.model.desired import Desired
from dataplane.model.host import HostFacts
from dataplane.model.ids import IdBook, Numbering

PASSES: tuple[Callable[[Compilation], None], ...] = (
    compile_host,
    compile_vpcs,
    compile_vswitches,
    compile_instances,
    compile_services,
    compile_vbrs,
    compile_peerings,
    compile_health_checks,
    compile_route_tables,
)


def compile_network(
    loaded: Loaded, book: IdBook, remembered: Mapping[str, IPv4Address], facts: HostFacts | None = None
) -> Desired:
    """The desired state of this host.

    Args:
        loaded: the checked configuration.
        book: the ids given so far.
        remembered: instance id -> the address that it was given before.
        facts: what this host can do; where it is not asked, what every stock kernel can.

    Raises:
        InvalidConfig: an instance cannot have an address (R79).
    """
    numbering = Numbering(book)
    c = Compilation(loaded, numbering, assign_addresses(loaded, remembered), facts or HostFacts())
    for compile_pass in PASSES:
        compile_pass(c)
    return Desired(
        c.wanted, tuple(c.declared), notes(loaded.network), numbering.book(), frozenset(numbering.used), c.addresses
    )
