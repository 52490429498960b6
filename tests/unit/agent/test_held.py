"""A forwarder that does without what is not going to be made."""

from dataclasses import replace

from dataplane.agent.held import FORWARDER, wanted_without
from dataplane.model.desired import Desired
from dataplane.model.host import HostFacts
from dataplane.model.kernel import ForwarderState, Key
from dataplane.model.program import FORWARDER_STATE_KEY
from dataplane.plan.planner import Plan, make_plan
from tests.fakes.networks import PEERED, desired

NAMESPACE = ("namespace", "dp-vpc-vpc-3")


def compiled() -> Desired:
    return desired(PEERED, facts=HostFacts())


def first_plan(whole: Desired) -> Plan:
    return make_plan(whole.wanted, {})


def ports(wanted: Desired) -> set[str]:
    wish = wanted.wanted[FORWARDER_STATE_KEY].object
    assert isinstance(wish, ForwarderState)
    return {port.namespace for port in wish.forwarding.ports.values()}


def less(whole: Desired, *lacking: Key) -> Desired:
    return replace(whole, wanted=wanted_without(whole, {}, first_plan(whole), frozenset(lacking)))


def test_where_nothing_lacks_the_wishes_are_the_very_same() -> None:
    whole = compiled()
    assert FORWARDER_STATE_KEY in whole.wanted
    assert wanted_without(whole, {}, first_plan(whole), frozenset()) is whole.wanted
    assert wanted_without(whole, {}, first_plan(whole), frozenset({("namespace", "another")})) is whole.wanted


def test_without_a_router_the_forwarder_has_none_of_its_ports() -> None:
    whole = compiled()
    found = less(whole, NAMESPACE)
    assert "dp-vpc-vpc-3" in ports(whole) and "dp-vpc-vpc-3" not in ports(found)
    assert ports(found) == {"dp-vpc-vpc-1", "dp-vpc-vpc-2"}
    others = {key: wish for key, wish in whole.wanted.items() if not isinstance(wish.object, FORWARDER)}
    assert {key: wish for key, wish in found.wanted.items() if not isinstance(wish.object, FORWARDER)} == others


def test_what_is_there_all_the_same_is_told_as_it_is() -> None:
    """An object that waits for its change is there in its old form."""
    whole = compiled()
    there = {key: wish.object for key, wish in whole.wanted.items() if not isinstance(wish.object, FORWARDER)}
    route = next(item for key, item in there.items() if key[0] == "route" and "vpc-1" in str(key) and item.needs())
    plan = make_plan(whole.wanted, {key: item for key, item in there.items() if key != route.key})
    assert wanted_without(whole, there, plan, frozenset({route.key}))[FORWARDER_STATE_KEY].object == (
        whole.wanted[FORWARDER_STATE_KEY].object
    )


def test_a_forwarder_that_waits_itself_is_asked_for_as_before() -> None:
    whole = compiled()
    lacking = frozenset({FORWARDER_STATE_KEY, NAMESPACE})
    assert wanted_without(whole, {}, first_plan(whole), lacking) is whole.wanted
