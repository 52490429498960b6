"""Plans about VXLAN: the filter before any link and after the last one, each VNI once, links before their namespace."""

import itertools
from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from dataplane.agent.executor import Execution, execute
from dataplane.model import names
from dataplane.model.desired import Wanted
from dataplane.model.kernel import (
    Admission,
    FdbEntry,
    KernelObject,
    KernelRoute,
    Key,
    Namespace,
    Neighbour,
    RouteType,
    Rule,
    UnderlayFilter,
    VxlanLink,
)
from dataplane.model.resource import NOWHERE, Resource
from dataplane.plan.action import Verb
from dataplane.plan.planner import Plan, make_plan
from dataplane.plan.stage import Stage
from tests.fakes.kernel import FakeKernel

HERE, THERE, OTHER = (IPv4Address(f"172.20.0.{last}") for last in (11, 12, 13))
EVERYTHING = IPv4Network("0.0.0.0/0")
FAR_MAC = "02:00:00:00:01:01"
FILTER = UnderlayFilter(
    "eth0", frozenset({Admission(THERE, 77, IPv4Address("10.0.0.0"), IPv4Address("10.255.255.255"))})
)


def link(vpc: str = "a", port: int = 7, vni: int = 77, **changes: object) -> VxlanLink:
    made = VxlanLink(
        mark=names.mark("vpc_tunnel", vpc),
        namespace=names.vpc_namespace(vpc),
        ifname=names.port_ifname("x", port),
        ifindex=names.port_ifindex(port),
        mac=f"02:00:00:00:00:{port:02x}",
        vni=vni,
        local=HERE,
        device="eth0",
        mtu=1450,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def network(*links: VxlanLink) -> list[KernelObject]:
    """A router for each link, its entry, its neighbour, and a rule for what comes in by it."""
    items: list[KernelObject] = []
    for one in links:
        where, ifname = one.namespace, one.ifname
        items += [
            Namespace(where, names.mark("vpc", where.removeprefix("dp-vpc-"))),
            one,
            FdbEntry(where, ifname, FAR_MAC, THERE),
            Neighbour(where, ifname, THERE, FAR_MAC),
            KernelRoute(where, 1002, EVERYTHING, RouteType.UNREACHABLE, metric=names.MAX_METRIC),
            Rule(where, 100, 1002, iif=ifname),
        ]
    return [*items, FILTER] if links else []


WORLDS: dict[str, list[KernelObject]] = {
    "nothing": [],
    "one": network(link()),
    "two": network(link(), link("b", 8, 78)),
    "exchanged": network(link(vni=78), link("b", 8)),
    "vni moved": network(link("b", 8)),
    "port moved": network(link("b", 7, 78), link("a", 8)),
    "another MAC": network(link(mac="02:00:00:00:00:99")),
    "another MTU": network(link(mtu=1400)),
    "another device": network(link(device="eth1", local=OTHER)),
    "renamed": network(link(ifname="dpx9")),
    "another router of that name": [
        replace(item, mark=names.mark("vpc", "z")) if isinstance(item, Namespace) else item for item in network(link())
    ],
    "wider": [replace(item, admissions=frozenset()) if item == FILTER else item for item in network(link())],
}


def plan_for(kernel: FakeKernel, desired: Iterable[KernelObject]) -> Plan:
    items = list(desired)
    wanted = {item.key: Wanted(item, Resource("vpc", "a"), NOWHERE, frozenset({"a"})) for item in items}
    return make_plan(wanted, kernel.observe(items).objects)


def reach(kernel: FakeKernel, desired: Iterable[KernelObject]) -> Execution:
    return execute(plan_for(kernel, desired), kernel)


def errors(execution: Execution) -> list[str]:
    return [outcome.error for outcome in execution.outcomes if outcome.error]


def state(kernel: FakeKernel) -> dict[Key, KernelObject]:
    return dict(kernel.objects)


@pytest.mark.parametrize("path", list(itertools.permutations(WORLDS, 2)), ids="->".join)
def test_any_state_is_reached_from_any_other_in_one_apply(path: tuple[str, str]) -> None:
    """A -> B leaves what a clean B leaves; the fake kernel refuses a VNI twice and flushes as the real one does."""
    kernel, clean = FakeKernel(), FakeKernel()
    for name in path:
        assert errors(reach(kernel, WORLDS[name])) == []
        assert plan_for(kernel, WORLDS[name]).actions == ()
    reach(clean, WORLDS[path[1]])
    assert state(kernel) == state(clean)


def test_the_fake_kernel_refuses_what_the_real_one_refuses() -> None:
    """The oracle of the test above, seen red: a VNI twice, a link before the filter, an entry before the link."""
    kernel = FakeKernel()
    assert errors(reach(kernel, WORLDS["one"])) == []
    second = Namespace("dp-vpc-b", "dataplane vpc/b")
    refused = link("b", 8)
    for number, (items, word) in enumerate(
        [
            ([second, refused], "EEXIST vni 77"),
            ([FILTER, refused], "ENODEV"),
            ([FdbEntry("dp-vpc-a", "dpx8", FAR_MAC, THERE)], "ENODEV"),
        ]
    ):
        fresh = kernel if number == 0 else FakeKernel()
        *_, outcome = fresh.perform([action for item in items for action in plan_for(FakeKernel(), [item]).actions])
        assert word in str(outcome.error)


def stages_of(plan: Plan, kind: type) -> list[Stage]:
    return [stage for stage, actions in plan.stages.items() if any(isinstance(one.object, kind) for one in actions)]


def test_the_filter_is_in_before_any_link_and_goes_after_the_last_one() -> None:
    """Fail closed, both ways."""
    kernel = FakeKernel()
    coming = plan_for(kernel, WORLDS["one"])
    assert stages_of(coming, UnderlayFilter) == [Stage.UNDERLAY_FILTER]
    assert stages_of(coming, VxlanLink) == [Stage.LINK]
    assert stages_of(coming, FdbEntry) == [Stage.NEIGHBOUR]
    assert stages_of(coming, Rule)[0] == Stage.PORT_RULE
    execute(coming, kernel)
    going = plan_for(kernel, [])
    assert stages_of(going, VxlanLink) == [Stage.LINK_REMOVAL]
    assert stages_of(going, UnderlayFilter) == [Stage.UNDERLAY_FILTER_REMOVAL]
    assert stages_of(going, Namespace) == [Stage.NAMESPACE_REMOVAL]
    assert stages_of(going, FdbEntry) == []
    order = (Stage.UNDERLAY_FILTER, Stage.LINK, Stage.LINK_REMOVAL, Stage.UNDERLAY_FILTER_REMOVAL)
    assert list(order) == sorted(order)


def test_a_filter_that_fails_holds_every_link_back() -> None:
    """Nothing that VXLAN packets could come in by, nor what hangs on it; the rest is made."""
    kernel = FakeKernel(fault=lambda _, action: "no nft" if isinstance(action.object, UnderlayFilter) else None)
    execution = reach(kernel, WORLDS["one"])
    held = {
        type(one.action.object) for one in execution.outcomes if one.is_held_back and one.action.verb is Verb.CREATE
    }
    assert held == {VxlanLink, FdbEntry, Neighbour}
    assert [one.action.object for one in execution.outcomes if one.error and not one.is_held_back] == [FILTER]


def test_a_link_goes_before_a_namespace_that_has_to_make_room() -> None:
    """kernel.md, section 5: the namespace may die late, and would keep the VNI."""
    kernel = FakeKernel()
    reach(kernel, WORLDS["one"])
    plan = plan_for(kernel, WORLDS["another router of that name"])
    assert [(one.verb, type(one.object)) for one in plan.stages[Stage.CLEAR]] == [
        (Verb.DELETE, VxlanLink),
        (Verb.DELETE, Namespace),
    ]
    assert [one.object for one in plan.stages[Stage.LINK]] == [link()]


def test_a_link_that_goes_altogether_goes_before_a_namespace_that_makes_room() -> None:
    """Not later, when it could no longer be reached."""
    kernel = FakeKernel()
    reach(kernel, WORLDS["one"])
    plan = plan_for(kernel, [Namespace("dp-vpc-a", "dataplane vpc/z")])
    assert [type(one.object) for one in plan.stages[Stage.CLEAR]] == [VxlanLink, Namespace]


@pytest.mark.parametrize("changes", [{"mac": "02:00:00:00:00:99"}, {"mtu": 1400}, {"up": False}], ids=str)
def test_what_can_be_changed_in_place_is(changes: dict[str, object]) -> None:
    """A new MAC flushes the neighbours, which are written again; entries stay."""
    kernel = FakeKernel()
    reach(kernel, WORLDS["one"])
    actions = plan_for(kernel, network(link(**changes))).actions
    assert [(one.verb, type(one.object)) for one in actions] == [
        (Verb.CHANGE, VxlanLink),
        *([(Verb.CHANGE, Neighbour)] if "mac" in changes else []),
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"vni": 78},
        {"local": OTHER},
        {"device": "eth1"},
        {"ifname": "dpx9"},
        {"ifindex": 1_000_009},
        {"is_static": False},
    ],
    ids=str,
)
def test_what_cannot_be_changed_in_place_is_made_anew(changes: dict[str, object]) -> None:
    """With all that hangs on it; as observed and not as desired, since nobody desires what is not static."""
    kernel = FakeKernel()
    seen = link(**changes)
    reach(kernel, network(seen))
    actions = plan_for(kernel, WORLDS["one"]).actions
    assert [one.verb for one in actions if isinstance(one.object, VxlanLink)] == [Verb.DELETE, Verb.CREATE]
    assert {Verb.CREATE} == {one.verb for one in actions if isinstance(one.object, FdbEntry | Neighbour)}


def test_a_filter_that_is_not_whole_is_written_again() -> None:
    kernel = FakeKernel()
    reach(kernel, WORLDS["one"])
    kernel.objects[FILTER.key] = replace(FILTER, is_whole=False)
    (action,) = plan_for(kernel, WORLDS["one"]).actions
    assert (action.verb, action.object) == (Verb.CHANGE, FILTER)


def test_strange_entries_go_and_others_stay() -> None:
    kernel = FakeKernel()
    reach(kernel, WORLDS["one"])
    strange = FdbEntry("dp-vpc-a", "dpx7", "00:00:00:00:00:00", OTHER)
    kernel.objects[strange.key] = strange
    (action,) = plan_for(kernel, WORLDS["one"]).actions
    assert (action.verb, action.object) == (Verb.DELETE, strange)
