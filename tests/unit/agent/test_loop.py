"""When the loop looks again."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dataplane.agent.backoff import Backoff
from dataplane.agent.daemon.keeper import Tally
from dataplane.agent.daemon.loop import Agent, Options
from dataplane.agent.notify import Notifier
from dataplane.agent.report import Planned, Report
from dataplane.errors import HostError
from tests.fakes.networks import PEERED, network

DONE = Report(Planned(()), seconds=0.2)


class Keeper:
    """One whose rounds go as the test says."""

    def __init__(self) -> None:
        self.loaded, self.here = network(PEERED), ""
        self.tally, self.backoff = Tally(), Backoff[Any]()
        self.answers: list[Report | HostError] = []
        self.causes: list[str] = []

    def repair(self, cause: str) -> Report:
        self.causes.append(cause)
        answer = self.answers.pop(0)
        if isinstance(answer, HostError):
            raise answer
        return answer


@pytest.fixture
def keeper() -> Keeper:
    return Keeper()


@pytest.fixture
def agent(tmp_path: Path, keeper: Keeper) -> Agent:
    quiet = SimpleNamespace(read=lambda: None, flips=tuple)
    options = Options((), tmp_path, tmp_path, lambda _: "", 30.0)
    return Agent(options, cast(Any, keeper), cast(Any, quiet), cast(Any, quiet), cast(Any, quiet), Notifier({}))


def test_a_round_that_failed_is_made_again_within_seconds(agent: Agent, keeper: Keeper) -> None:
    """Not only with the next comparison of everything."""
    keeper.answers = [HostError("the kernel does not answer")]
    agent._round("the periodic comparison")
    assert keeper.tally.rounds["failed"] == 1
    now = time.monotonic()
    assert not agent._is_round_due(now)
    assert agent._is_round_due(now + 2)


def test_one_that_was_disturbed_likewise(agent: Agent, keeper: Keeper) -> None:
    keeper.answers = [Report(Planned(()), remaining=("route 10.0.0.0/8 is missing",), seconds=0.2)]
    agent._round("something has changed here")
    assert agent._is_round_due(time.monotonic() + 1)


def test_one_that_is_done_rests_until_something_happens(agent: Agent, keeper: Keeper) -> None:
    keeper.answers = [DONE]
    agent._round("something has changed here")
    now = time.monotonic()
    assert not agent._is_round_due(now + 29)
    assert agent._is_round_due(now + 31)
    agent.mark_dirty("something has changed here")
    assert not agent._is_round_due(now + 0.3), "not before twice the time that the last one took"
    assert agent._is_round_due(now + 0.5)


def test_events_at_once_are_one_round(agent: Agent, keeper: Keeper) -> None:
    keeper.answers = [DONE]
    for _ in range(100):
        agent.mark_dirty("something has changed here")
    agent._not_before = 0.0
    assert agent._is_round_due(time.monotonic() + 0.1)
    agent._round(agent._why)
    assert keeper.causes == ["something has changed here"]
    assert not agent._is_round_due(time.monotonic())
