"""The list of all rules: the only place that knows each of them."""

from collections.abc import Callable, Iterator

from dataplane.config.problem import Problem
from dataplane.config.rules import (
    account,
    data_centre,
    health_check,
    host,
    instance,
    next_hop,
    overlap,
    peering,
    quota,
    region,
    return_route,
    route_table,
    service,
    vbr,
    vpc,
    vswitch,
)
from dataplane.config.rules.lookup import Lookup

_RULES: tuple[Callable[[Lookup], Iterator[Problem]], ...] = (
    account.check,
    region.check,
    host.check,
    vpc.check,
    vswitch.check,
    instance.check,
    route_table.check,
    next_hop.check,
    peering.check,
    overlap.check,
    quota.check,
    return_route.check,
    vbr.check,
    health_check.check,
    data_centre.check,
    service.check,
)


def check(lookup: Lookup) -> Iterator[Problem]:
    """Everything that the rules have to say."""
    for rule in _RULES:
        yield from rule(lookup)
