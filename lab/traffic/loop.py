"""One thread waits for many sockets: readiness in, a call out. It knows nothing of packets."""

import selectors
import socket
import time
from collections.abc import Callable

Callback = Callable[[], None]


class Loop:
    """Sockets, and what to do when they have something to say."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def watch(self, sock: socket.socket, on_ready: Callback, *, write: bool = False) -> None:
        """Call back whenever a socket can be read (or written, once it is connected). Replaces an earlier wish."""
        self.forget(sock)
        self._selector.register(sock, selectors.EVENT_WRITE if write else selectors.EVENT_READ, on_ready)

    def forget(self, sock: socket.socket) -> None:
        """Look at a socket no more; unknown ones are welcome."""
        if sock.fileno() >= 0 and sock in self._selector.get_map():
            self._selector.unregister(sock)

    def run(self, is_done: Callable[[], bool], limit_s: float) -> None:
        """Serve until it is done, or the time is over.

        Args:
            is_done: asked after each round; also when nothing happens, at least every 10 ms.
            limit_s: in seconds from now.
        """
        deadline = time.monotonic() + limit_s
        while not is_done() and (left := deadline - time.monotonic()) > 0:
            for key, _ in self._selector.select(min(left, 0.01)):
                key.data()

    def close(self) -> None:
        """Forget everything."""
        self._selector.close()
