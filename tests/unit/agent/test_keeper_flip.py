"""A flip on the slow path: the kernel before the disk, nothing observed, nothing but the places of the leg."""

from pathlib import Path

import pytest

from dataplane.agent.daemon.keeper import Keeper
from dataplane.agent.daemon.probing import Flip
from dataplane.agent.journal import Journal
from dataplane.agent.store import Store
from dataplane.model.kernel import KernelObject, Nexthop
from dataplane.plan.action import Action, Outcome
from tests.fakes.circuits import Circuits
from tests.fakes.kernel import FakeKernel
from tests.fakes.networks import network

TEXT = Circuits(3).text.replace("version: 1\n", "version: 1\ndatapath: {hook: 'off'}\n", 1)
"""The forwarder has a flip from the prober, which is not here."""


class _Silent:
    """A monitor and a prober that nobody needs here."""

    def watch(self, *_: object) -> None: ...

    def read(self) -> None: ...

    def follow(self, *_: object) -> None: ...


class _Watched(FakeKernel):
    """Notes what it is asked for, in order."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.seen: list[object] = []
        self._state = store

    def observe(self, desired: object = ()) -> object:  # type: ignore[override]
        self.seen.append("observe")
        return super().observe(desired)  # type: ignore[arg-type]

    def perform(self, actions: list[Action]) -> list[Outcome]:  # type: ignore[override]
        self.seen += [(action.object, self._state.load().legs.is_down("ri-a0")) for action in actions]
        return super().perform(actions)


def flip(leg: str, *, is_up: bool) -> Flip:
    before, after = ("down", "up") if is_up else ("up", "down")
    return Flip(leg, "pcx-0", is_up, before, after, "3 probes in a row without a reply", 1)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


@pytest.fixture
def keeper(tmp_path: Path, store: Store) -> Keeper:
    """One that has applied three circuits."""
    silent, kernel = _Silent(), _Watched(store)
    made = Keeper(store, kernel, silent, silent, Journal(tmp_path))  # type: ignore[arg-type]
    assert made.apply(network(TEXT), "", "a test").is_done
    kernel.seen.clear()
    return made


def kernel_of(keeper: Keeper) -> _Watched:
    found = keeper._driver
    assert isinstance(found, _Watched)
    return found


def test_the_kernel_first_and_only_the_places_of_the_leg(keeper: Keeper, store: Store) -> None:
    keeper.flip([flip("ri-a0", is_up=False)])
    seen = kernel_of(keeper).seen
    assert [type(item) for item, _ in seen] == [Nexthop, Nexthop]  # type: ignore[misc]
    assert [is_remembered for _, is_remembered in seen] == [False, False]  # type: ignore[misc]
    assert store.load().legs.is_down("ri-a0")
    assert [event.what for event in keeper._journal.since(0) if event.resource == "ri-a0"] == ["state"]


def test_the_round_that_follows_finds_nothing_left_to_do(keeper: Keeper) -> None:
    for is_up in (False, True, False):
        keeper.flip([flip("ri-a0", is_up=is_up)])
        assert keeper.repair("a test").outcomes == ()


def test_there_and_back_is_where_it_was(keeper: Keeper) -> None:
    before: dict[object, KernelObject] = dict(kernel_of(keeper).objects)
    keeper.flip([flip("ri-a0", is_up=False), flip("ri-a1", is_up=False)])
    assert dict(kernel_of(keeper).objects) != before
    keeper.flip([flip("ri-a1", is_up=True), flip("ri-a0", is_up=True)])
    assert dict(kernel_of(keeper).objects) == before


def test_what_the_kernel_refuses_is_remembered_and_tried_again(keeper: Keeper, store: Store) -> None:
    kernel = kernel_of(keeper)
    kernel.fault = lambda _, action: f"no room for {action.object.key}"
    keeper.flip([flip("ri-a0", is_up=False)])
    assert store.load().legs.is_down("ri-a0")
    assert sum(keeper.tally.failures.values()) == 2
    kernel.fault = None
    assert [one.is_held_back for one in keeper.repair("too soon").outcomes] == [True, True]
    keeper.backoff.forget_all()
    assert [one.error for one in keeper.repair("later").outcomes] == [None, None]
