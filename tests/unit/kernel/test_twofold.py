"""Work shared with a fork: everything is done once, and whatever befalls the child stays with the child."""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from dataplane.kernel.twofold import Twofold

PIECES = 40


@pytest.fixture
def held() -> Iterator[int]:
    """A descriptor that somebody else in the process has open."""
    reader, writer = os.pipe()
    yield writer
    os.close(reader)
    os.close(writer)


def _has_children() -> bool:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def test_each_piece_is_done_once_by_either() -> None:
    def work(number: int) -> tuple[int, int]:
        time.sleep(0.001)
        return number * number, os.getpid()

    with Twofold(PIECES, work, ()) as two:
        own = [work(number) and number for number in two.claims()]
        others = two.answer()
    assert sorted([*own, *others]) == list(range(PIECES))
    assert own and others, "both have worked"
    assert all(found == number**2 and pid != os.getpid() for number, (found, pid) in others.items())
    assert not _has_children()


@pytest.mark.parametrize("end", ["raises", "is killed", "says what cannot be said"])
def test_a_child_that_fails_has_done_nothing(end: str) -> None:
    def work(number: int) -> object:
        if end == "raises":
            raise RuntimeError("no")
        if end == "is killed":
            os.kill(os.getpid(), signal.SIGKILL)
        return lambda: number

    with Twofold(PIECES, work, ()) as two:
        assert two.answer() == {}
    assert not _has_children()


def test_the_child_is_gone_when_the_parent_gives_up() -> None:
    with pytest.raises(KeyError), Twofold(1, lambda _: time.sleep(600), ()):
        raise KeyError
    assert not _has_children()


def test_the_child_holds_nothing_of_the_parent_but_what_it_needs(held: int) -> None:
    """A lock, or a connection that somebody waits to see the end of, does not live on with it."""
    kept = os.dup(held)

    def work(_: int) -> list[str]:
        return os.listdir("/proc/self/fd")  # noqa: PTH208 (numbers, not paths)

    with Twofold(1, work, (kept,)) as two:
        (open_there,) = two.answer().values()
    os.close(kept)
    assert str(kept) in open_there
    assert str(held) not in open_there


def test_a_signal_to_the_child_is_none_of_the_parents_business() -> None:
    """systemd sends SIGTERM to all of a unit: the parent's handler is not to run in the child."""
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))

    def work(_: int) -> list[int]:
        os.kill(os.getpid(), signal.SIGTERM)
        return heard

    try:
        with Twofold(1, work, ()) as two:
            assert two.answer() == {}, "it ends as any process does"
    finally:
        signal.signal(signal.SIGTERM, before)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set(), "what was held back is held back no more"
