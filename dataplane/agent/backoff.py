"""How long an object waits before it is tried again: one that fails, and one that somebody else keeps undoing.

Pure: the time is an argument. Without it, a program that deletes our route ten times a second would have us write it
ten times a second (reliability.md, test 23).
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)

FIRST_S = 1.0
MOST_S = 60.0
FREE_REPAIRS = 3
"""So many are at once: hands that try something out are no fight."""
QUIET_S = 120.0
"""An object that nothing has happened to for so long, and for twice its own delay, begins anew."""


@dataclass(slots=True)
class _Trouble:
    failures: int = 0
    repairs: int = 0
    at: float = 0.0
    until: float = 0.0

    def is_quiet(self, now: float) -> bool:
        """Whether nothing has happened for so long that it begins anew."""
        return now - self.at > max(QUIET_S, 2 * (self.until - self.at))


class Backoff(Generic[_Key]):
    """The objects that are in trouble, by key. Time is in seconds of any clock that never goes back."""

    def __init__(self) -> None:
        self._troubles: dict[_Key, _Trouble] = {}
        self._asked = 0.0

    def failed(self, key: _Key, now: float) -> None:
        """It could not be made, changed or removed: 1 s, 2 s, 4 s and so on, a minute at most."""
        trouble = self._of(key, now)
        trouble.failures += 1
        self._wait(trouble, trouble.failures, now)

    def repaired(self, key: _Key, now: float) -> None:
        """It was put right; where that is needed again and again, the next time waits."""
        trouble = self._of(key, now)
        trouble.failures = 0
        trouble.repairs += 1
        self._wait(trouble, trouble.repairs - FREE_REPAIRS, now)

    def forget(self, key: _Key) -> None:
        """It is asked for in another form now, or no more."""
        self._troubles.pop(key, None)

    def forget_all(self) -> None:
        """Somebody has said what is to be: everything is tried at once."""
        self._troubles.clear()

    def forgive(self) -> None:
        """What was in the way of some that fail is gone: they are tried at once; if in vain, they wait as before."""
        for trouble in self._troubles.values():
            if trouble.failures:
                trouble.until = trouble.at

    def is_waiting(self, key: _Key, now: float) -> bool:
        """Whether its time has not come."""
        trouble = self._troubles.get(key)
        return trouble is not None and now < trouble.until

    def failing(self) -> frozenset[_Key]:
        """Those that failed when they were last tried."""
        return frozenset(key for key, trouble in self._troubles.items() if trouble.failures)

    def has_come_due(self, now: float) -> bool:
        """Whether the time of one has come since this was asked last. Those that are quiet are forgotten on the way."""
        before, self._asked = self._asked, now
        self._troubles = {key: trouble for key, trouble in self._troubles.items() if not trouble.is_quiet(now)}
        return any(before < trouble.until <= now for trouble in self._troubles.values())

    def waiting(self, now: float) -> dict[_Key, float]:
        """Key -> when it may be tried, of all that wait."""
        return {key: trouble.until for key, trouble in self._troubles.items() if trouble.until > now}

    def _of(self, key: _Key, now: float) -> _Trouble:
        found = self._troubles.setdefault(key, _Trouble(at=now, until=now))
        if found.is_quiet(now):
            found.failures = found.repairs = 0
        found.at = now
        return found

    @staticmethod
    def _wait(trouble: _Trouble, count: int, now: float) -> None:
        trouble.until = now + min(MOST_S, FIRST_S * 2.0 ** min(count - 1, 16)) if count > 0 else now
