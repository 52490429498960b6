"""Who asks the agent what flows waits in a thread of the API's, with copies of the flow table: not for any number."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from dataplane.agent.api.service import Peer, TopRequest
from dataplane.agent.daemon.service import AgentService
from dataplane.errors import ConflictError

READER = Peer(2, 1000, 1000, True)
ASKED = TopRequest(1.0, 5)


class SlowWatch:
    """One whose looks take until they are told to end."""

    def __init__(self) -> None:
        self.begun, self.end = threading.Semaphore(0), threading.Event()

    def top_in(self, *_: object) -> str:
        self.begun.release()
        assert self.end.wait(10)
        return "top"


def test_43_the_fifth_who_looks_at_what_flows_is_told_to_come_again() -> None:
    watch, found = SlowWatch(), []
    calls = SimpleNamespace(ask=lambda call: call())
    agent: Any = SimpleNamespace(calls=calls, keeper=SimpleNamespace(loaded=object(), desired=None))
    session: Any = SimpleNamespace(watch=lambda *_: watch)
    service = AgentService(agent, session, "0")
    lookers = [threading.Thread(target=lambda: found.append(service.top(ASKED, READER))) for _ in range(4)]
    for looker in lookers:
        looker.start()
        assert watch.begun.acquire(timeout=10)
    with pytest.raises(ConflictError, match="4 others look at what flows already"):
        service.top(ASKED, READER)
    watch.end.set()
    for looker in lookers:
        looker.join()
    assert found == ["top"] * 4
    assert service.top(ASKED, READER) == "top"  # type: ignore[comparison-overlap]
