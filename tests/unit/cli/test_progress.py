"""The progress bar: for people on a terminal, and only when there is something to wait for."""

import pytest

from dataplane.cli import progress
from dataplane.cli.progress import ProgressBar


class Clock:
    """A clock that tests turn by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "monotonic", made)
    monkeypatch.setattr(progress, "is_terminal", lambda: True)
    return made


def test_a_quick_apply_draws_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar() as bar:
        clock.now = 0.9
        bar(90, 100, "routes")
    assert capsys.readouterr() == ("", "")


def test_a_slow_apply_shows_how_far_it_is_on_stderr(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar() as bar:
        bar(10, 100, "namespaces")
        clock.now = 1.1
        bar(25, 100, "routes")
        assert bar._bar is not None
        (task,) = bar._bar.tasks
        assert (task.completed, task.total, task.description) == (25, 100, "routes")
    assert capsys.readouterr().out == ""


def test_nobody_there_to_look(clock: Clock, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setattr(progress, "is_terminal", lambda: False)
    with ProgressBar() as bar:
        clock.now = 60
        bar(25, 100, "routes")
    assert capsys.readouterr() == ("", "")
