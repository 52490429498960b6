"""Plans, run on a kernel that refuses what the real one refuses."""

import itertools

import pytest

from dataplane.agent.executor import execute
from dataplane.model.kernel import Address, KernelObject, Key, Nexthop, Veth
from dataplane.plan.action import Verb
from dataplane.plan.planner import make_plan
from dataplane.plan.stage import Stage
from tests.fakes.kernel import FakeKernel
from tests.fakes.networks import PEERED, TWO_CIRCUITS, desired

STOPPED = PEERED.replace("ip: 172.16.1.10}", "ip: 172.16.1.10, state: stopped}")
MOVED = PEERED.replace("ip: 172.16.1.10}", "ip: 172.16.1.20, state: stopped}")
SUSPENDED = PEERED.replace("vpc: vpc-1}", "vpc: vpc-1, state: suspended}")
BIGGER = PEERED.replace("    cidr: 10.0.0.0/8\n", "    cidr: 10.0.0.0/8\n    mtu: 9000\n")
EMPTY = PEERED[: PEERED.index("vpcs:")]
WORLDS = {
    "peered": PEERED,
    "stopped": STOPPED,
    "moved": MOVED,
    "suspended": SUSPENDED,
    "bigger": BIGGER,
    "empty": EMPTY,
}


BORDER = {
    "both": TWO_CIRCUITS,
    "first suspended": TWO_CIRCUITS.replace("vbr: vbr-1}", "vbr: vbr-1, state: suspended}"),
    "none": TWO_CIRCUITS.replace("vpc: vpc-a}", "vpc: vpc-a, state: suspended}"),
    "balanced": TWO_CIRCUITS.replace("active_standby: {active: ri-a1, standby: ri-a2}", "load_balance: [ri-a1, ri-a2]"),
    "balanced, none": TWO_CIRCUITS.replace(
        "active_standby: {active: ri-a1, standby: ri-a2}", "load_balance: [ri-a1, ri-a2]"
    ).replace("vpc: vpc-a}", "vpc: vpc-a, state: suspended}"),
    "lines swapped": TWO_CIRCUITS.replace("device: eth1", "device: eth0")
    .replace("device: eth2", "device: eth1")
    .replace("device: eth0", "device: eth2"),
}


def reach(kernel: FakeKernel, text: str, book=None):
    wanted = desired(text, book, facts=kernel.facts())
    plan = make_plan(wanted.wanted, kernel.observe([w.object for w in wanted.wanted.values()]).objects)
    return wanted, execute(plan, kernel)


def state(kernel: FakeKernel) -> dict[Key, KernelObject]:
    return {key: item for key, item in kernel.objects.items() if key[0] != "sysctl"}


def errors(execution) -> list[str]:
    return [str(outcome.error) for outcome in execution.outcomes if outcome.error]


@pytest.mark.parametrize("path", list(itertools.permutations(WORLDS, 2)), ids="->".join)
def test_any_state_is_reached_from_any_other_and_back(path: tuple[str, str]) -> None:
    """A -> B -> A leaves what a clean A leaves (style, rule 3), and each second plan is empty."""
    kernel, book = FakeKernel(), desired(PEERED).book
    reached = []
    for name in (path[0], path[1], path[0]):
        wanted, execution = reach(kernel, WORLDS[name], book)
        assert errors(execution) == []
        again = make_plan(wanted.wanted, kernel.observe([w.object for w in wanted.wanted.values()]).objects)
        assert again.actions == ()
        reached.append(state(kernel))
    assert reached[0] == reached[2]


@pytest.mark.parametrize("path", list(itertools.permutations(BORDER, 2)), ids="->".join)
@pytest.mark.parametrize("has_8021q", [True, False])
def test_any_border_is_reached_from_any_other_and_back(path: tuple[str, str], has_8021q: bool) -> None:
    """Groups let a leg go before it is a blackhole, and take it back after it is none; lines change places."""
    kernel, book = FakeKernel(has_8021q=has_8021q), desired(TWO_CIRCUITS).book
    reached = []
    for name in (path[0], path[1], path[0]):
        _, execution = reach(kernel, BORDER[name], book)
        assert errors(execution) == []
        reached.append(state(kernel))
    assert reached[0] == reached[2]


def test_a_kernel_that_learns_8021q_gets_real_vlans() -> None:
    kernel = FakeKernel(has_8021q=False)
    wanted, _ = reach(kernel, TWO_CIRCUITS)
    kernel.has_8021q = True
    _, execution = reach(kernel, TWO_CIRCUITS, wanted.book)
    assert errors(execution) == []
    fresh = FakeKernel(has_8021q=True)
    reach(fresh, TWO_CIRCUITS, wanted.book)
    assert state(kernel) == state(fresh)


def test_the_fake_kernel_refuses_a_wrong_order() -> None:
    """The oracle of these tests, seen red: the same plan backwards fails."""
    wanted = desired(PEERED).wanted
    plan = make_plan(wanted, {})
    kernel = FakeKernel()
    outcomes = kernel.perform(tuple(reversed(plan.actions)))
    assert len([o for o in outcomes if o.error]) > 10


@pytest.mark.parametrize("victim", ["veth", "nexthop", "rule", "route", "neighbour", "address", "namespace"])
def test_whatever_disappears_is_made_again(victim: str) -> None:
    kernel = FakeKernel()
    _, execution = reach(kernel, PEERED)
    clean = state(kernel)
    for key in [key for key in clean if key[0] == victim]:
        kernel._delete(clean[key])
    assert state(kernel) != clean
    _, execution = reach(kernel, PEERED)
    assert errors(execution) == []
    assert state(kernel) == clean


def test_a_link_that_was_renamed_is_made_anew_with_all_that_hangs_on_it() -> None:
    kernel = FakeKernel()
    reach(kernel, PEERED)
    clean = state(kernel)
    key = ("veth", "dataplane peering_connection/pcx-1")
    veth = clean[key]
    assert isinstance(veth, Veth) and veth.a is not None
    kernel._take_along({("link", veth.a.namespace, veth.a.ifname)})
    kernel.objects[key] = Veth(
        veth.mark, type(veth.a)(veth.a.namespace, "renamed", veth.a.ifindex, veth.a.mac), veth.b, 1500
    )
    _, execution = reach(kernel, PEERED)
    assert errors(execution) == []
    assert state(kernel) == clean


def test_removal_takes_routes_then_legs_then_links() -> None:
    """R16's order, and rules go before the tables that they choose."""
    kernel = FakeKernel()
    reach(kernel, PEERED)
    text = PEERED.replace("          - {destination: 10.0.0.0/8, next_hop: {router_interface: ri-3}}\n", "")
    text = text[: text.index("  pcx-2")].replace(
        "          - {destination: 192.168.0.0/16, next_hop: {router_interface: ri-4}}\n"
        "          - {destination: 172.16.0.0/12, next_hop: {router_interface: ri-4}}\n",
        "          - {destination: 11.0.0.0/8, next_hop: {instance: ecs-3}}\n",
    )
    wanted = desired(text, desired(PEERED).book)
    plan = make_plan(wanted.wanted, kernel.observe([w.object for w in wanted.wanted.values()]).objects)
    deletes = [type(a.object).__name__ for a in plan.actions if a.verb is Verb.DELETE]
    assert "Veth" in deletes
    assert errors(execute(plan, kernel)) == []
    assert not [
        item
        for item in kernel.objects.values()
        if isinstance(item, Nexthop)
        and item.ifname
        and item.ifname not in {e.ifname for v in kernel.objects.values() if isinstance(v, Veth) for e in v.ends}
    ]


def test_default_rules_go_after_ours_are_in() -> None:
    """Also those that a namespace is only about to be born with: one apply is enough."""
    plan = make_plan(desired(PEERED).wanted, {})
    removed = {(a.object.namespace, a.object.priority) for a in plan.stages[Stage.RULE_REMOVAL]}
    assert removed == {(f"dp-vpc-vpc-{n}", priority) for n in (1, 2, 3) for priority in (32766, 32767)}
    assert max(plan.stages) == Stage.RULE_REMOVAL > Stage.RULE


def test_a_moved_address_deletes_the_old_one_first() -> None:
    """Added second, it would be a secondary and go with the primary."""
    kernel, book = FakeKernel(), desired(PEERED).book
    reach(kernel, STOPPED, book)
    _, execution = reach(kernel, MOVED, book)
    assert errors(execution) == []
    addresses = [i for i in kernel.objects.values() if isinstance(i, Address) and i.namespace == "dp-i-ecs-1"]
    assert [str(i.address) for i in addresses] == ["172.16.1.20/24"]


def test_thresholds_of_the_host_are_only_raised() -> None:
    wanted = {k: w for k, w in desired(PEERED).wanted.items() if k[0] == "sysctl" and k[1] == ""}
    assert wanted
    high = {k: type(w.object)("", w.object.name, "9999999") for k, w in wanted.items()}
    assert make_plan(wanted, high).actions == ()
    low = {k: type(w.object)("", w.object.name, "128") for k, w in wanted.items()}
    assert len(make_plan(wanted, low).actions) == len(wanted)
    assert make_plan({}, high).actions == (), "destroy does not lower them"
