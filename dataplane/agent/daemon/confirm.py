"""An apply that goes back by itself unless somebody confirms it: kept on disk, since an agent may die meanwhile.

Owns the file and the clock of it. The moment is of the boot clock, which nobody sets; after a reboot it has passed.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dataplane.config import Source
from dataplane.errors import HostError

_FILE = "unconfirmed.json"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Pending:
    """What comes back unless it is confirmed.

    Args:
        sources: the configuration before; empty: there was none.
        here: which host this one was in it.
        until_s: by the boot clock.
    """

    sources: tuple[Source, ...]
    here: str
    until_s: float


class Confirmation:
    """The one apply that waits for its confirmation, if there is one.

    Args:
        state_dir: where it is kept.
        clock: seconds since the boot.
    """

    def __init__(self, state_dir: Path, clock: Callable[[], float] | None = None) -> None:
        self._path = state_dir / _FILE
        self._clock = clock or (lambda: time.clock_gettime(time.CLOCK_BOOTTIME))
        self.pending = self._load()

    def begin(self, sources: tuple[Source, ...], here: str, seconds: float) -> None:
        """Come back to a configuration in so many seconds. Where one waits already, its way back stays the way back.

        Raises:
            HostError: it cannot be kept: nothing has begun.
        """
        before = self.pending
        pending = Pending(sources, here, self._clock() + seconds)
        if before is not None:
            pending = Pending(before.sources, before.here, pending.until_s)
        self._keep(pending)

    def take_back(self, before: Pending | None) -> None:
        """What was begun has not happened: what waited before it waits on.

        Raises:
            HostError: it cannot be kept.
        """
        if before is None:
            self.end()
        else:
            self._keep(before)

    def _keep(self, pending: Pending) -> None:
        """Write it beside and rename it: whoever dies here leaves the one before, or this one."""
        kept = {
            "boot": _BOOT_ID.read_text(encoding="ascii").strip(),
            "until_s": pending.until_s,
            "here": pending.here,
            "sources": [[source.name, source.text] for source in pending.sources],
        }
        unfinished = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                json.dump(kept, file)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self._path)
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            raise HostError(
                f"cannot keep {self._path}, by which an apply goes back: {error.strerror}; free or mend the disk"
            ) from error
        self.pending = pending

    def end(self) -> None:
        """It is confirmed, or has gone back."""
        self._path.unlink(missing_ok=True)
        self.pending = None

    def is_due(self) -> bool:
        """Whether its time has passed."""
        return self.pending is not None and self._clock() >= self.pending.until_s

    def left_s(self) -> float | None:
        """Seconds until then; None where nothing waits."""
        return None if self.pending is None else max(0.0, self.pending.until_s - self._clock())

    def _load(self) -> Pending | None:
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
            sources = tuple(Source(name, text) for name, text in kept["sources"])
            is_this_boot = kept["boot"] == _BOOT_ID.read_text(encoding="ascii").strip()
            return Pending(sources, str(kept["here"]), float(kept["until_s"]) if is_this_boot else 0.0)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            # Half a file is none: it was never said that anything would go back.
            return None
