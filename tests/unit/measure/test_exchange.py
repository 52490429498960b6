"""Our own request and response pair: bins that keep two percent, and a real exchange over the loopback."""

import json
import socket
import subprocess
import sys

import pytest

from dataplane.measure import exchange


@pytest.mark.parametrize("nanoseconds", [1, 31, 63, 64, 100, 12_345, 59_900, 1_000_000, 22_500_000, 10**10])
def test_a_bin_is_no_wider_than_four_percent(nanoseconds: int) -> None:
    assert exchange.middle_of(exchange.bin_of(nanoseconds)) == pytest.approx(nanoseconds, rel=0.02)


def test_bins_are_in_order() -> None:
    bins = [exchange.bin_of(number) for number in range(1, 5000)]
    assert bins == sorted(bins)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def test_a_client_asks_and_is_answered_and_its_port_is_free_again_at_once() -> None:
    port, client_port = free_port(), free_port()
    program = [sys.executable, "-I", "-S", exchange.__file__]
    server = subprocess.Popen([*program, "server", str(port)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "listening\n"
        for _ in range(2):
            words = [*program, "client", "127.0.0.1", str(port), str(client_port), "0.1"]
            said = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
            assert said["count"] == sum(said["bins"].values()) > 0
    finally:
        server.kill()
        server.communicate()
