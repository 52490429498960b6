"""`why` on a real kernel: each fault is made for real, named rightly, and a real packet agrees with the verdict."""

from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from dataplane.agent.store import Store
from dataplane.agent.why import explain_live
from dataplane.compile.compiler import compile_network
from dataplane.config import load_sources
from dataplane.errors import HostError
from dataplane.kernel.driver import KernelDriver
from dataplane.model.kernel import Rule
from dataplane.observe.why.atlas import Atlas
from dataplane.observe.why.explain import Direction, Explanation, Question
from tests.fakes.networks import PEERED, many
from tests.netns.lines import cable
from tests.netns.network import AppliedNetwork, hooked
from tests.netns.objects import inside, run, set_sysctl
from tests.netns.why_border_faults import AT_THE_BORDER
from tests.netns.why_faults import BY_CONFIGURATION, BY_HAND, Fault, Said


def names_of(network: AppliedNetwork) -> dict[str, str]:
    """The words in braces of a fault's commands."""
    state = Store(network.folder / "state").load()
    loaded = load_sources(state.applied.sources)
    desired = compile_network(loaded, state.book, state.memory.addresses(), KernelDriver().facts())
    atlas = Atlas(loaded, desired)
    words = {ri: ifname for (_, ifname), ri in atlas.interfaces.items()}
    words |= {instance.id: instance.port for instance in atlas.instances.values()}
    words |= {f"leg {ri}": str(number) for (kind, ri), number in desired.book.numbers.items() if kind == "leg"}
    words |= {f"line {vbr}": link.ifname for vbr, link in atlas.lines.items()}
    for wish in desired.wanted.values():
        rule = wish.object
        if isinstance(rule, Rule) and rule.priority == 200:
            words[atlas.place(rule.namespace)] = str(rule.table)
        elif isinstance(rule, Rule) and (rule.namespace, rule.iif or "") in atlas.interfaces:
            words[f"from {atlas.interfaces[rule.namespace, rule.iif or '']}"] = str(rule.table)
    return words


def spoil(network: AppliedNetwork, fault: Fault) -> None:
    words = names_of(network)
    for command in fault.by_hand:
        namespace, *rest = command.format(**words).split(" ")
        if not namespace:
            run(*rest)
            continue
        if rest[0] == "sysctl":
            set_sysctl(namespace, *rest[1:])
            continue
        done = inside(namespace, *rest)
        assert done.returncode == 0 or rest[0] == "ping", (command, done.stderr)


def edited(fault: Fault) -> str:
    text = fault.text
    for old, new in fault.edits:
        assert old in text, old
        text = text.replace(old, new)
    return text


def explain(network: AppliedNetwork, fault: Fault) -> Explanation:
    return explain_live(network.folder / "state", fault.question)


def check(way: Direction | None, said: Said | None, text: str) -> None:
    if said is None:
        assert way is None
        return
    assert way is not None
    found = way.finding
    assert (found.code, found.where if said.at else "") == (said.code, said.at), way
    assert (way.disagreement is not None) == said.differs, way.disagreement
    if said.line:
        assert any(part in text.splitlines()[found.origin.line - 1] for part in said.line.split("|")), found
    if not found.code.is_delivered:
        assert found.text
        assert found.remedy


@pytest.mark.parametrize("fault", BY_CONFIGURATION + BY_HAND, ids=lambda fault: fault.name)
def test_r72_r111_each_fault_is_named(network: AppliedNetwork, ping: str, fault: Fault) -> None:
    text = hooked(edited(fault), "off")  # the faults are in the kernel's own way, which the forwarder would not take
    assert network.apply(text).is_done
    spoil(network, fault)
    # The first packet may make the kernel ask by ARP; what it then knows is part of the question.
    passes = _passes(fault) if fault.passes is not None else None
    found = explain(network, fault)
    check(found.forward, fault.forward, text)
    check(found.back, fault.back, text)
    if fault.passes is not None:
        delivered = [way.verdict.code.is_delivered for way in (found.forward, found.back) if way is not None]
        assert (passes, all(delivered) and len(delivered) == 2) == (fault.passes, fault.passes)


def _passes(fault: Fault) -> bool:
    addresses = {"ecs-1": "172.16.1.10", "ecs-2": "192.168.1.10", "ecs-3": "10.0.1.10"}
    destination = fault.question.destination
    target = addresses.get(destination, destination)
    assert IPv4Address(target)
    return inside(f"dp-i-{fault.question.source}", "ping", "-c1", "-W0.3", "-w1", target).returncode == 0


@pytest.fixture
def border(network: AppliedNetwork) -> Iterator[AppliedNetwork]:
    """The host with two cables; they are taken away only after the network on them."""
    with cable("eth1", "idc", "up0"), cable("eth2", "idc-2", "up0"):
        yield network
        assert network.session().destroy().is_done


@pytest.mark.parametrize("fault", AT_THE_BORDER, ids=lambda fault: fault.name)
def test_r28_r44_r72_each_fault_at_the_border_is_named(border: AppliedNetwork, ping: str, fault: Fault) -> None:
    text = hooked(edited(fault), "off")
    assert border.apply(text).is_done
    spoil(border, fault)
    found = explain(border, fault)
    check(found.forward, fault.forward, text)
    check(found.back, fault.back, text)


def test_the_checker_sees_a_wrong_verdict(network: AppliedNetwork) -> None:
    """The table above, red: a network without a fault has none of them."""
    network.must_apply(PEERED)
    for fault in BY_HAND:
        if fault.text is PEERED and not fault.edits:
            found = explain(network, fault)
            with pytest.raises(AssertionError):
                check(found.forward, fault.forward, PEERED)
                check(found.back, fault.back, PEERED)


def test_asking_changes_nothing(network: AppliedNetwork) -> None:
    network.must_apply(many(5, 100))
    found = explain_live(network.folder / "state", Question("i0-0", "i1-0"))
    assert found.is_good
    assert network.apply(many(5, 100)).planned.actions == ()


def test_nothing_applied_is_one_sentence(network: AppliedNetwork) -> None:
    with pytest.raises(HostError, match="nothing is applied on this host"):
        explain_live(network.folder / "state", Question("ecs-1", "ecs-2"))


def test_there_are_thirty_faults() -> None:
    assert len(BY_CONFIGURATION) + len(BY_HAND) + len(AT_THE_BORDER) >= 30


def test_where_the_forwarder_goes_first_it_is_said(network: AppliedNetwork, ping: str) -> None:
    """A route that is gone from the kernel alone: the packet passes, and both is said."""
    (fault,) = [one for one in BY_HAND if one.name == "the route is deleted"]
    assert network.apply(hooked(edited(fault), "tc")).is_done
    spoil(network, fault)
    found = explain(network, fault)
    assert _passes(fault)
    assert not found.forward.verdict.code.is_delivered
    assert any("the forwarder goes first" in note for note in found.forward.notes)
    assert found.back is None or not any("the forwarder goes first" in note for note in found.back.notes)
