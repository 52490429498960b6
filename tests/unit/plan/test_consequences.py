"""What the kernel drops or resets by itself when something else changes, and the order that leaves no gap."""

import itertools

import pytest

from dataplane.model.ids import IdBook
from dataplane.model.kernel import Address, KernelRoute, Nexthop, Rule
from dataplane.plan.action import Verb
from dataplane.plan.planner import Plan, make_plan
from dataplane.plan.stage import Stage
from tests.fakes.kernel import FakeKernel
from tests.fakes.networks import PEERED, desired
from tests.unit.plan.test_planner import errors, reach

WIDER = PEERED.replace("vsw-1: {zone: a, cidr: 172.16.1.0/24}", "vsw-9: {zone: a, cidr: 172.16.0.0/23}").replace(
    "vswitch: vsw-1", "vswitch: vsw-9"
)
"""The same address and the same gateway under another mask."""
FORWARDING = PEERED.replace("ip: 172.16.1.10}", "ip: 172.16.1.10, forwarding: true}")
ROTATED = (
    PEERED.replace("pcx-1: {initiator: {router_interface: ri-1", "pcx-1: {initiator: {router_interface: ri-9")
    .replace("pcx-2: {initiator: {router_interface: ri-3", "pcx-2: {initiator: {router_interface: ri-2")
    .replace("acceptor: {router_interface: ri-2, vpc: vpc-2}}", "acceptor: {router_interface: ri-3, vpc: vpc-2}}")
    .replace("router_interface: ri-1}}", "router_interface: ri-9}}")
)
"""vpc-2's two router interfaces have exchanged their names; vpc-1's has a new one."""
MOVED_INTERFACE = (
    PEERED.replace("          - {destination: 172.16.0.0/12, next_hop: {router_interface: ri-2}}\n", "")
    .replace(
        "  pcx-1: {initiator: {router_interface: ri-1, vpc: vpc-1}",
        "  pcx-8: {initiator: {router_interface: ri-1, vpc: vpc-1}",
    )
    .replace("192.168.0.0/16, next_hop: {router_interface: ri-1}", "192.168.1.0/24, next_hop: {router_interface: ri-1}")
)
"""ri-1 and ri-2 are the ends of another connection, and the routes through them are gone or other ones."""
WORLDS = {
    "peered": PEERED,
    "MAC": PEERED.replace("ip: 172.16.1.10}", "ip: 172.16.1.10, mac: '02:00:00:00:00:77'}"),
    "mask": WIDER,
    "forwarding": FORWARDING,
    "rotated": ROTATED,
    "moved interface": MOVED_INTERFACE,
    "renamed instance": PEERED.replace("ecs-1:", "ecs-7:"),
}


@pytest.mark.parametrize("path", list(itertools.permutations(WORLDS, 2)), ids="->".join)
def test_one_apply_is_enough_and_leaves_what_a_clean_one_leaves(path: tuple[str, str]) -> None:
    """The fake kernel flushes and resets as the real one does; a plan that trusts what it saw falls short."""
    kernel, book = FakeKernel(), IdBook()
    for text in map(WORLDS.get, path):
        assert text is not None
        wanted, execution = reach(kernel, text, book)
        book = wanted.book
        assert errors(execution) == []
        seen = kernel.observe([wish.object for wish in wanted.wanted.values()]).objects
        assert make_plan(wanted.wanted, seen).actions == ()
    clean = FakeKernel()
    reach(clean, WORLDS[path[1]], book)
    assert kernel.objects.keys() == clean.objects.keys()


def test_an_address_that_became_a_secondary_survives_its_primary() -> None:
    """As after an apply that could not delete the old address."""
    kernel, stopped = FakeKernel(), PEERED.replace("ip: 172.16.1.10}", "ip: 172.16.1.10, state: stopped}")
    wanted, _ = reach(kernel, stopped)
    (new,) = [
        w.object for w in wanted.wanted.values() if isinstance(w.object, Address) and "ecs-1" in w.object.namespace
    ]
    del kernel.objects[new.key]
    old = Address(new.namespace, new.ifname, new.address + 5)
    kernel.objects |= {old.key: old, new.key: new}
    _, execution = reach(kernel, stopped)
    assert errors(execution) == []
    assert [i for i in kernel.objects.values() if isinstance(i, Address) and i.namespace == new.namespace] == [new]


def test_a_leg_that_moves_to_another_link_is_changed_and_keeps_its_routes() -> None:
    """ri-1 becomes the end of another connection: one next hop changes, and no route that stays is written."""
    book = desired(PEERED).book
    kernel = FakeKernel()
    reach(kernel, PEERED, book)
    text = PEERED.replace("pcx-1:", "pcx-8:")
    wanted = desired(text, book)
    plan = make_plan(wanted.wanted, kernel.observe([w.object for w in wanted.wanted.values()]).objects)
    legs = [action for action in plan.actions if isinstance(action.object, Nexthop)]
    assert {action.verb for action in legs} == {Verb.CHANGE}
    assert not [a for a in plan.actions if isinstance(a.object, KernelRoute) and a.object.metric == 0]


def place(plan: Plan, stages: tuple[Stage, ...]) -> list[Stage]:
    return [stage for stage in plan.stages if stage in stages]


def test_d16_no_port_is_ever_looked_up_without_its_rule() -> None:
    """The rule of a new port is in before the port, over a closed table; that of an old one goes after it."""
    coming = make_plan(desired(PEERED).wanted, {})
    order = (Stage.CLOSING_ROUTE, Stage.PORT_RULE, Stage.LINK, Stage.ROUTE, Stage.RULE)
    assert place(coming, order) == list(order)
    assert {action.object.priority for action in coming.stages[Stage.PORT_RULE]} == {100}
    kernel = FakeKernel()
    reach(kernel, PEERED)
    text = PEERED[: PEERED.index("  pcx-2")]
    text = "\n".join(line for line in text.splitlines() if "ri-3" not in line and "ri-4" not in line)
    text = text.replace("        routes:\n      system:", "")
    text = text.replace(
        "    instances: {ecs-3: {vswitch: vsw-3, ip: 10.0.1.10}}\n    route_tables:\n      system:\n        routes:",
        "    instances: {ecs-3: {vswitch: vsw-3, ip: 10.0.1.10}}",
    )
    wanted = desired(text, desired(PEERED).book)
    going = make_plan(wanted.wanted, kernel.observe([w.object for w in wanted.wanted.values()]).objects)
    order = (Stage.LINK_REMOVAL, Stage.PORT_RULE_REMOVAL, Stage.CLOSING_ROUTE_REMOVAL)
    assert place(going, order) == list(order)
    rules = [a.object for a in going.stages[Stage.PORT_RULE_REMOVAL] if isinstance(a.object, Rule)]
    assert {rule.priority for rule in rules} == {100}
