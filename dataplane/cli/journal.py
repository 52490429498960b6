"""Where ``dataplane events`` gets its events from: the agent, or the journal's file where no agent runs.

Owns finding the right ones among many, page by page. It prints nothing.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from dataplane.cli.duration import duration_ms

if TYPE_CHECKING:
    from dataplane.model.event import Event

Fetch = Callable[[int, int], "tuple[Event, ...]"]
"""(id, most) -> the first events with an id above that one, at most so many, in their order."""

PAGE = 1_000
"""Events that are asked for at once; the agent gives no more."""


class Since:
    """From where on events are wanted: behind an id, or from a moment on.

    Args:
        number: the id; 0: from the first on.
        at: the moment, with its time zone; None: any.
    """

    def __init__(self, number: int = 0, at: datetime | None = None) -> None:
        self.number, self._at = number, at

    @classmethod
    def parsed(cls, text: str, now: datetime) -> "Since":
        """From ``1234``, ``15m`` or ``2026-01-02T03:04:05``, which is UTC where it names no offset.

        Args:
            now: with its time zone.

        Raises:
            ValueError: it is none of them; the message says what would be right.
        """
        if text.isascii() and text.isdigit() and len(text) < 19:
            return cls(int(text))
        try:
            return cls(at=now - timedelta(milliseconds=duration_ms(text)))
        except (ValueError, OverflowError):
            pass
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(
                f"`{text}` is no id, no duration and no time; write 1234, 15m or 2026-01-02T03:04:05."
            ) from None
        return cls(at=at if at.tzinfo is not None else at.replace(tzinfo=UTC))

    def has(self, event: "Event") -> bool:
        """Whether an event is wanted. One whose time cannot be read is, rather than hidden."""
        if self._at is None:
            return event.id > self.number
        try:
            return datetime.fromisoformat(event.at) >= self._at
        except (ValueError, TypeError):
            return True


def events_since(fetch: Fetch, since: Since) -> "Iterator[Event]":
    """All events from somewhere on, in their order."""
    number = since.number
    while page := fetch(number, PAGE):
        yield from (event for event in page if since.has(event))
        number = page[-1].id


def newest_events(fetch: Fetch, newest: int, most: int) -> "tuple[list[Event], bool]":
    """The last events, and whether there are older ones.

    Args:
        newest: the id of the newest.
        most: how many are wanted.
    """
    # One more, which tells whether that is all. Ids have gaps where events were lost: then it looks further back.
    wanted, reach = most + 1, most + 1
    while True:
        start = max(0, newest - reach)
        found = list(events_since(fetch, Since(start)))
        if len(found) >= wanted or not start:
            return found[-most:] if most else [], len(found) > most
        reach *= 4
