"""No test of the command line asks the agent of the machine that it runs on, nor looks at that machine's state.

Agents for tests, behind the real socket.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.raw_http import PATIENCE
from tests.fakes.service import FakeService, PeerApi


@pytest.fixture(autouse=True)
def no_agent_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of a host where nothing is applied and no agent runs."""
    folder = tmp_path_factory.mktemp("host")
    monkeypatch.setenv("DATAPLANE_RUN_DIR", str(folder / "run"))
    monkeypatch.setenv("DATAPLANE_STATE_DIR", str(folder / "state"))
    return folder


@pytest.fixture
def service() -> FakeService:
    return FakeService()


@pytest.fixture
def agent(no_agent_of_this_machine: Path, service: FakeService) -> Iterator[PeerApi]:
    """An agent that answers at the socket of the run folder, with a made-up service behind it."""
    api = PeerApi(no_agent_of_this_machine / "run", service)
    api.start()
    yield api
    api.close()


@pytest.fixture
def speak(no_agent_of_this_machine: Path) -> Iterator[Callable[..., None]]:
    """Puts in the agent's place something that gives these answers, one a connection, and hangs up."""
    folder = no_agent_of_this_machine / "run"
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "agent.sock"))
        threads: list[threading.Thread] = []

        def answer(*replies: bytes) -> None:
            def serve() -> None:
                for reply in replies:
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(65_536)
                        connection.sendall(reply)

            listener.settimeout(PATIENCE)
            listener.listen()
            threads.append(threading.Thread(target=serve, daemon=True))
            threads[-1].start()

        yield answer
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "it was asked less often than it has answers"


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)


@pytest.fixture
def as_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
