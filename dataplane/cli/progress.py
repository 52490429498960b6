"""Progress of an apply on a terminal, and nothing at all elsewhere or when it is over within a second."""

from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Self

from dataplane.cli.output import is_terminal, note

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_PATIENCE_S = 1.0
"""A bar that flashes by says nothing."""


class ProgressBar:
    """Called with (done, total, what); draws once a second has gone by. A context manager that cleans up."""

    def __init__(self) -> None:
        self._is_wanted = is_terminal()
        self._started = monotonic()
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if kind is KeyboardInterrupt:
            note("what was begun stays as it is; the same command finishes it")

    def __call__(self, done: int, total: int, what: str) -> None:
        """Show how far it is.

        Args:
            done: actions done.
            total: actions in all.
            what: what goes on now, a few words.
        """
        if not self._is_wanted or monotonic() - self._started < _PATIENCE_S:
            return
        if self._bar is None or self._task is None:
            self._start()
        assert self._bar is not None and self._task is not None
        self._bar.update(self._task, completed=done, total=total, description=what)

    def _start(self) -> None:
        # Late, for rich costs more than many an apply.
        from rich.console import Console
        from rich.progress import Progress

        self._bar = Progress(console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task("")
        self._bar.start()
