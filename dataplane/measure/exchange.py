"""Our own request and response pair over TCP, for where netperf is not: one byte there, one byte back.

A program of its own with the standard library alone, so that eight of them start at once:
``exchange.py server PORT`` prints a line when it listens, ``exchange.py client ADDRESS PORT CLIENT_PORT SECONDS`` one
JSON document at its end.
"""

import json
import socket
import struct
import sys
import threading
from contextlib import suppress
from time import perf_counter_ns

_CONNECT_S = 5.0
_BINS_PER_OCTAVE = 32
"""Bins 2 % wide: percentiles of millions of round trips out of a few hundred numbers."""


def bin_of(nanoseconds: int) -> int:
    """The bin of a round trip: eight bits of mantissa would be 256 per octave, five are 32."""
    octave = max(nanoseconds.bit_length() - 6, 0)
    return octave * _BINS_PER_OCTAVE + (nanoseconds >> octave)


def middle_of(number: int) -> float:
    """Nanoseconds in the middle of a bin."""
    if number < 2 * _BINS_PER_OCTAVE:
        return float(number)
    octave = number // _BINS_PER_OCTAVE - 1
    return ((number - octave * _BINS_PER_OCTAVE) + 0.5) * (1 << octave)


def _serve(port: int) -> None:
    with socket.create_server(("", port), backlog=64) as listener:
        print("listening", flush=True)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_answer, args=(connection,), daemon=True).start()


def _answer(connection: socket.socket) -> None:
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(ConnectionResetError):
            while data := connection.recv(1):
                connection.sendall(data)


def _ask(address: str, port: int, client_port: int, seconds: float) -> dict[str, object]:
    bins: dict[int, int] = {}
    longest = count = 0
    with socket.create_connection((address, port), _CONNECT_S, ("", client_port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Closed by a reset: in TIME_WAIT the port could not be had for a minute, and the next run needs it.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.settimeout(seconds + _CONNECT_S)
        start = before = perf_counter_ns()
        end = start + int(seconds * 1e9)
        while before < end:
            connection.send(b"?")
            if not connection.recv(1):
                raise ConnectionError("the server went away")
            now = perf_counter_ns()
            number = bin_of(now - before)
            bins[number] = bins.get(number, 0) + 1
            longest = max(longest, now - before)
            count += 1
            before = now
    return {"count": count, "seconds": (before - start) / 1e9, "max_ns": longest, "bins": bins}


def _main(words: list[str]) -> None:
    if words[0] == "server":
        _serve(int(words[1]))
    else:
        print(json.dumps(_ask(words[1], int(words[2]), int(words[3]), float(words[4]))))


if __name__ == "__main__":
    _main(sys.argv[1:])
