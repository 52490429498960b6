"""The prober as a child process: how it is started, and how it surely ends."""

import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import dataplane

_ROOT = str(Path(dataplane.__file__).resolve().parents[1])
# Isolated and without site: nothing of the environment or of the user's gets in, and not much memory is used.
_FLAGS = ("-I", "-S")
_PROGRAM = "import sys; sys.path.append(sys.argv[1]); from dataplane.health.process import main; main()"
_BUFFER_BYTES = 1 << 20
_LAST_WISH_S = 1.0


@dataclass
class Child:
    """A running prober.

    Args:
        channel: the agent's end, non-blocking; closing it ends the prober.
    """

    channel: socket.socket
    _process: subprocess.Popen[bytes]

    @classmethod
    def start(cls) -> "Child":
        """Start one.

        Raises:
            OSError: the machine has no room for another process.
        """
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with its:
                for end in (ours, its):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
                flags = (*_FLAGS, "-B") if sys.flags.dont_write_bytecode else _FLAGS
                process = subprocess.Popen(
                    [sys.executable, *flags, "-c", _PROGRAM, _ROOT, str(its.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=(its.fileno(),),
                    cwd="/",
                    env={},
                    start_new_session=True,
                )
        except BaseException:
            ours.close()
            raise
        ours.setblocking(False)
        return cls(ours, process)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def end(self) -> int:
        """Close the channel and see it end; its exit code, negative for a signal."""
        self.channel.close()
        try:
            return self._process.wait(_LAST_WISH_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()
