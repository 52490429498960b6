"""What systemd is told (sd_notify(3)): ready, reloading, alive, stopping. Nothing where it did not start us.

Owns the protocol. Our own few lines: the library for it is a package of C, and the protocol is one datagram.
"""

import os
import socket
from collections.abc import Mapping

_ONCE_WAIT_S = 5.0
"""For a manager that is busy to take what is said once only."""


class Notifier:
    """Talks to the service manager that started this process, if one did.

    Args:
        environment: has ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID`` from it.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # A name in the abstract namespace begins with a zero byte, which an environment cannot hold.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        is_ours = environment.get("WATCHDOG_PID") in (None, str(os.getpid()))
        microseconds = environment.get("WATCHDOG_USEC", "")
        self._watchdog_s = int(microseconds) / 1e6 if is_ours and microseconds.isdigit() else 0.0
        self._is_busy = False

    def ready(self, status: str) -> None:
        """The network is as the file says, or as near as it can be had."""
        self._tell("READY=1", f"STATUS={status}", wait_s=_ONCE_WAIT_S)

    def status(self, text: str) -> None:
        """One line for ``systemctl status``."""
        self._tell(f"STATUS={text}")

    def alive(self) -> None:
        """The loop goes round."""
        usual = (self._patience(self._watchdog_s),) if self._is_busy else ()
        self._is_busy = False
        self._tell("WATCHDOG=1", *usual, wait_s=_ONCE_WAIT_S if usual else 0.0)

    def busy(self, seconds: float) -> None:
        """We live, and something long begins: the watchdog is to wait so long for the next sign, then as before."""
        patience = max(seconds, self._watchdog_s)
        self._is_busy = self._watchdog_s > 0
        self._tell("WATCHDOG=1", *((self._patience(patience),) if self._is_busy else ()), wait_s=_ONCE_WAIT_S)

    def stopping(self) -> None:
        """It was asked to end."""
        self._tell("STOPPING=1")

    @staticmethod
    def _patience(seconds: float) -> str:
        return f"WATCHDOG_USEC={seconds * 1e6:.0f}"

    def _tell(self, *lines: str, wait_s: float = 0.0) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.settimeout(wait_s)  # the kernel holds ten of them: a manager that hangs must not have us hang too
            try:
                out.connect(self._address)
                out.send("\n".join(line.replace("\n", " ") for line in lines).encode())
            except OSError:
                return  # a manager that does not listen is no reason to stop
