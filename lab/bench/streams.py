"""Real sockets from instance to instance: a TCP stream, small UDP packets, requests and answers (performance.md, T14).

Ends are pinned, since the scheduler's choice makes more of a difference than any forwarder.
"""

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any

from lab.bench.model import BenchError
from lab.bench.worlds import Way, World

NOTE = (
    "Sockets: iperf3, client on one processor and server on the other, `-C cubic`; UDP of 16 bytes each as fast as the "
    "sender can, counted at the receiver. Requests: one byte there and one back over one TCP connection, both ends "
    "on one processor, a loop of our own in Python (not netperf), the cost of which is in every figure."
)
_SECONDS = 1
_CLIENT, _SERVER = 0, 1
_LIMIT_S = 30
_PORT = 5001
_CONGESTION = b"cubic"


def measure(what: str, world: World, way: Way) -> float:
    """How many in a second: bits of a stream, packets, or requests.

    Raises:
        BenchError: iperf3 is not installed, or a connection failed.
    """
    return WHAT[what](world, way)


def _tcp(world: World, way: Way) -> float:
    end = _iperf(world, way, "-C", _CONGESTION.decode())
    return float(end["sum_received"]["bits_per_second"])


def _udp(world: World, way: Way) -> float:
    end = _iperf(world, way, "-u", "-b", "0", "-l", "16")
    return float(end["sum"]["packets"] - end["sum"]["lost_packets"]) / float(end["sum"]["seconds"])


def _iperf(world: World, way: Way, *options: str) -> dict[str, Any]:
    """The end of iperf3's report."""
    server = _command(world, way.destination, "-s", "-1", "-A", str(_SERVER), "--forceflush")
    client = _command(world, way.source, "-c", str(way.destination_ip), "-t", str(_SECONDS), *options)
    fds = tuple(world.places.values())
    try:
        with subprocess.Popen(
            server, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, pass_fds=fds
        ) as listening:
            try:
                assert listening.stdout is not None
                while "listening" not in (listening.stdout.readline() or "listening"):
                    continue
                client += ["-A", str(_CLIENT), "-J"]
                done = subprocess.run(
                    client, capture_output=True, text=True, pass_fds=fds, timeout=_LIMIT_S, check=False
                )
            finally:
                listening.terminate()
        report = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise BenchError(f"iperf3 does not run ({error}); install it (Debian: apt install iperf3)") from error
    if "error" in report:
        raise BenchError(f"iperf3 from {way.source} to {way.destination}: {report['error']}")
    end: dict[str, Any] = report["end"]
    return end


def _command(world: World, place: str, *options: str) -> list[str]:
    return ["nsenter", f"--net=/proc/self/fd/{world.places[place]}", "iperf3", *options]


def _requests(world: World, way: Way) -> float:
    with world.inside(way.destination):
        listener = socket.create_server((str(way.destination_ip), _PORT))
    with listener:
        server = os.fork()
        if server == 0:
            _be_server(listener)
        try:
            return _ask(world, way)
        finally:
            os.waitpid(server, 0)


def _be_server(listener: socket.socket) -> None:
    """Answer one connection. Never returns: nothing of the parent may run a second time here."""
    try:
        os.sched_setaffinity(0, {_CLIENT})
        listener.settimeout(_LIMIT_S)
        connection, _ = listener.accept()
        _prepare(connection)
        buffer = bytearray(1)
        while connection.recv_into(buffer):
            connection.send(buffer)
    finally:
        os._exit(0)


def _ask(world: World, way: Way) -> float:
    """Ask for a while; requests a second."""
    with world.inside(way.source):
        connection = socket.socket()
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {_CLIENT})
    try:
        with connection:
            connection.settimeout(_LIMIT_S)
            connection.connect((str(way.destination_ip), _PORT))
            _prepare(connection)
            buffer, asked = bytearray(1), 0
            began = time.perf_counter()
            while (passed := time.perf_counter() - began) < _SECONDS:
                connection.send(buffer)
                if not connection.recv_into(buffer):
                    raise BenchError(f"{way.destination} hung up")
                asked += 1
            return asked / passed
    finally:
        os.sched_setaffinity(0, before)


def _prepare(connection: socket.socket) -> None:
    connection.settimeout(None)  # else each call would poll before
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, _CONGESTION)


WHAT: Mapping[str, Callable[[World, Way], float]] = {"TCP stream": _tcp, "UDP packets": _udp, "requests": _requests}
"""What there is to measure."""
