"""Configurations that are valid and unusual: names that could collide, several instances in one namespace."""

import pytest

from dataplane.compile.route_table import PRIORITY_CUSTOM_TABLE, PRIORITY_PORTS, PRIORITY_SPOOFED
from dataplane.model.kernel import KernelRoute, Rule, Sysctl, Veth
from tests.fakes.networks import PEERED, desired
from tests.fakes.walk import Fate, Walk
from tests.unit.compile.test_route_tables import objects_of, send, tables, via

USES = (PRIORITY_PORTS, PRIORITY_CUSTOM_TABLE, PRIORITY_SPOOFED)


@pytest.mark.parametrize("name", ["ports", "spoofed"])
def test_a_route_table_may_have_any_name(name: str) -> None:
    """The router's own tables (for its ports, for spoofed sources) have numbers of their own."""
    text = tables(system=via("192.168.2.0/24", "box-1"), rt_web="").replace("rt-web", name)
    assert send(text, "web-1", "192.168.2.10").where == "dp-i-app-1"
    assert send(text, "box-2", "192.168.2.10").where == "dp-i-box-1"
    tables_by_use = [{rule.table for rule in objects_of(text, Rule) if rule.priority == use} for use in USES]
    assert all(len(found) == 1 for found in tables_by_use) and len(set.union(*tables_by_use)) == len(USES)


def test_rules_with_a_source_share_no_priority_with_rules_without() -> None:
    """The kernel takes a rule without a source for equal to one with any: it refuses to add it (EEXIST), or deletes the
    wrong one of the two."""
    text = tables(system=via("192.168.2.0/24", "box-1"), rt_web=via("10.0.0.0/8", "box-1"))
    rules = objects_of(text, Rule)
    named = {rule.priority for rule in rules if rule.source is not None}
    assert named
    assert not named & {rule.priority for rule in rules if rule.source is None}


def test_of_several_instances_in_one_namespace_the_first_that_runs_gives_the_default_route() -> None:
    text = PEERED.replace(
        "{ecs-1: {vswitch: vsw-1, ip: 172.16.1.10}}",
        "{ecs-1: {vswitch: vsw-1, attach: {namespace: web}},"
        " ecs-8: {vswitch: vsw-1, attach: {namespace: web, interface: eth1}}}",
    )
    for wanted, ifname in ((text, "eth0"), (text.replace("web}},", "web}, state: stopped},"), "eth1")):
        routes = [wish.object for wish in desired(wanted).wanted.values() if isinstance(wish.object, KernelRoute)]
        assert [route.ifname for route in routes if route.namespace == "web"] == [ifname]


def test_a_next_hop_that_does_not_forward_may_not_send_what_is_routed_to_it() -> None:
    """The kernel's source check asks for the way back, and that leads to it: rules have to judge its sources."""
    text = tables(system=via("0.0.0.0/0", "app-1"), rt_web="")
    objects = [wish.object for wish in desired(text).wanted.values()]
    (port,) = [veth.a.ifname for veth in objects_of(text, Veth) if veth.mark == "dataplane instance/app-1" and veth.a]
    (check,) = [item for item in objects if isinstance(item, Sysctl) and item.name.endswith(f"{port}/rp_filter")]
    assert check.value == "0"
    spoofed = Walk(objects).send("dp-i-app-1", "192.168.1.10", source="203.0.113.5")
    assert spoofed == Fate("blackhole", "dp-vpc-vpc-a", ("dp-vpc-vpc-a",))
    assert Walk(objects).send("dp-i-app-1", "192.168.1.10").where == "dp-i-web-1"
