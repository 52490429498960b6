"""Legs taken down and up by hand: what is remembered, forgotten and refused, over a fake kernel (D1-D3, R49-R51)."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from dataplane.agent.report import LegReport
from dataplane.agent.session import Session
from dataplane.agent.store import Store
from dataplane.compile.leg_order import LegWish
from dataplane.errors import ConflictError, HostError, UnknownError
from dataplane.model.forwarding import LegState
from dataplane.model.kernel import ForwarderState, KernelObject, Key, Nexthop
from dataplane.model.leg import LegVerdict
from dataplane.plan.action import Verb
from dataplane.plan.stage import Stage, stage_of
from tests.fakes.circuits import Circuits
from tests.fakes.kernel import FakeKernel, Killed
from tests.fakes.networks import network

THREE = Circuits(3)
OFF, AT_TC = (THREE.text.replace("version: 1\n", f"version: 1\ndatapath: {{hook: {hook}}}\n") for hook in ("off", "tc"))


class Host:
    """A host with a network and a fake kernel."""

    def __init__(self, folder: Path, text: str = OFF) -> None:
        self.folder, self.kernel = folder, FakeKernel()
        assert self.session().apply(network(text)).is_done
        self.kernel.operations = 0

    def session(self) -> Session:
        return Session(self.folder / "state", self.folder / "run", driver=self.kernel)

    def order(self, leg: str, wish: LegWish, *, is_forced: bool = False) -> LegReport:
        return self.session().order_leg(leg, wish, is_forced=is_forced)

    def objects(self) -> dict[Key, KernelObject]:
        return dict(self.kernel.objects)

    def known(self) -> dict[tuple[str, str], LegVerdict]:
        return dict(Store(self.folder / "state").load().legs.known)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_d3_down_is_remembered_by_every_later_apply_and_auto_takes_it_back(host: Host) -> None:
    before = host.objects()
    found = host.order("ri-a1", "down")
    assert found.report.is_done and found.verdict is not None and found.verdict.cause == "hand"
    assert [group.used for group in found.groups] == [("ri-a0", "ri-a2")]
    after = host.objects()
    assert {key for key in after if after[key] != before.get(key)} == {
        action.object.key for action in found.report.planned.actions
    }
    assert all(isinstance(action.object, Nexthop) for action in found.report.planned.actions)
    assert host.session().apply(network(OFF)).planned.actions == ()
    assert host.objects() == after
    found = host.order("ri-a1", "auto")
    assert found.verdict is None and host.known() == {}
    assert host.objects() == before


def test_the_second_time_nothing_is_done_and_since_when_stays(host: Host) -> None:
    since = host.order("ri-a1", "down").verdict
    state = (host.folder / "state" / "state.sqlite").read_bytes()
    operations = host.kernel.operations
    again = host.order("ri-a1", "down")
    assert again.report.planned.actions == () and again.verdict == since
    assert host.kernel.operations == operations
    assert (host.folder / "state" / "state.sqlite").read_bytes() == state


def test_a_leg_that_the_file_no_longer_names_is_forgotten(host: Host) -> None:
    host.order("ri-a1", "down")
    assert host.session().apply(network(Circuits(2).text)).is_done
    assert set(host.known()) == {("ri-a1", "hand")}, "the file still names it"
    one_less = Circuits(2).text.replace("ri-a1", "ri-b1")
    assert host.session().apply(network(one_less)).is_done
    assert host.known() == {}
    host.order("ri-b1", "down")
    assert host.session().destroy().is_done
    assert host.known() == {}


def test_what_a_health_check_said_stays_beside_and_the_hand_wins(host: Host) -> None:
    store = Store(host.folder / "state")
    state = store.load()
    down = LegVerdict("down", "health", "2026-01-01T00:00:00+00:00")
    store.save(replace(state, legs=state.legs.saying("ri-a0", down)))
    assert host.session().apply(network(OFF)).is_done
    up = host.order("ri-a0", "up")
    assert up.groups[0].used == ("ri-a0", "ri-a1", "ri-a2")
    auto = host.order("ri-a0", "auto")
    assert auto.verdict == down and auto.groups[0].used == ("ri-a1", "ri-a2")


def test_d2_the_last_healthy_leg_needs_force(host: Host) -> None:
    host.order("ri-a0", "down")
    host.order("ri-a1", "down")
    before = host.objects()
    with pytest.raises(ConflictError, match="ri-a2 is the last healthy leg of vpc-a's load_balance group ri-a0"):
        host.order("ri-a2", "down")
    assert host.objects() == before and ("ri-a2", "hand") not in host.known()
    forced = host.order("ri-a2", "down", is_forced=True)
    assert forced.groups[0].used == ("ri-a0", "ri-a1", "ri-a2"), "each is used as if it were up"
    assert any("are down: ri-a0, ri-a1, ri-a2 used as if up (D2)" in note for note in host.session().status().notes)
    # Nobody healthy is left, so that none can be taken away.
    assert host.order("ri-a0", "down").report.is_done


def test_a_suspended_leg_is_no_healthy_one(tmp_path: Path) -> None:
    host = Host(tmp_path, Circuits(2, suspended=frozenset({0})).text)
    with pytest.raises(ConflictError, match="ri-a1 is the last healthy leg"):
        host.order("ri-a1", "down")


@pytest.mark.parametrize(
    ("leg", "words"),
    [
        ("ri-x", "there is no router interface ri-x: the legs of this host's groups are ri-a0, ri-a1"),
        ("ri-v0", r"ri-v0 belongs to vbr vbr-0, whose routes have one leg each \(R28\)"),
        ("ri-a2", r"general routing has no other way: up or down changes nothing there \(R49\)"),
    ],
)
@pytest.mark.parametrize("wish", ["up", "down", "auto"])
def test_what_is_no_leg_of_a_group_is_refused(tmp_path: Path, leg: str, words: str, wish: LegWish) -> None:
    grouped = f"load_balance: [{', '.join(THREE.legs)}]"
    assert grouped in OFF
    host = Host(tmp_path, OFF.replace(grouped, "load_balance: [ri-a0, ri-a1]"))
    with pytest.raises(UnknownError, match=words):
        host.order(leg, wish)


def test_nothing_applied_is_said(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="nothing is applied on this host"):
        Session(tmp_path / "state", tmp_path / "run", driver=FakeKernel()).order_leg("ri-a0", "down")


@pytest.mark.parametrize("text", [OFF, AT_TC], ids=["off", "tc"])
@pytest.mark.parametrize("kind", ["fails", "dies"])
def test_2_3_a_flip_that_fails_or_dies_anywhere_is_finished_by_the_next_apply(
    tmp_path: Path, text: str, kind: str
) -> None:
    """The verdict is remembered before the kernel is told: whoever comes next knows what was wanted."""
    wanted = Host(tmp_path / "wanted", text)
    count = len(wanted.order("ri-a1", "down").report.planned.actions)
    assert count == (2 if text == OFF else 3)
    for number in range(1, count + 1):
        host = Host(tmp_path / f"{number}", text)
        fired = []

        def fault(operation: int, action: object, number: int = number, fired: list[int] = fired) -> str | None:
            if operation == number and not fired:
                fired.append(operation)
                if kind == "dies":
                    raise Killed
                return "EIO"
            return None

        host.kernel.fault = fault
        with suppress(Killed):
            host.order("ri-a1", "down")
        host.kernel.fault = None
        assert fired
        assert host.session().apply(network(text)).is_done
        assert host.objects() == wanted.objects()


def test_the_forwarders_state_has_the_leg_and_its_stage_says_when_it_is_told(tmp_path: Path) -> None:
    host = Host(tmp_path, AT_TC)
    report = host.order("ri-a1", "down").report
    (action,) = [one for one in report.planned.actions if isinstance(one.object, ForwarderState)]
    state = action.object
    assert isinstance(state, ForwarderState)
    legs = {state.forwarding.leg_names[leg]: one for leg, one in state.forwarding.legs.items()}
    assert legs["ri-a1"] is LegState.DOWN and legs["ri-a0"] is LegState.UP
    seen = ForwarderState(state.forwarding, ("1 leg",), is_loss=True)
    assert stage_of(type(action)(Verb.CHANGE, state, seen)) is Stage.LEG_LOSS < Stage.NEXTHOP
    back = ForwarderState(state.forwarding, ("1 leg",))
    assert stage_of(type(action)(Verb.CHANGE, state, back)) is Stage.FORWARDER_STATE > Stage.GROUP
    assert stage_of(type(action)(Verb.DELETE, seen, seen)) is Stage.FORWARDER_STATE_REMOVAL
