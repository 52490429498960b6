"""`dataplane top` over real iperf3 flows: one under its cap, one over it by UDP, one by TCP (issue 7, R117, D4).

Figures are compared with what was offered and with the cap; how exact the cap itself is, others ask.
"""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from dataplane.kernel import netns
from dataplane.model.flow import FlowState
from tests.netns.agent import PATIENCE_S, ROOT, AgentHost, wait
from tests.netns.lines import cable
from tests.netns.network import hooked
from tests.netns.test_agent_metrics import scrape
from tests.netns.test_iperf import TEXT
from tests.netns.windows import measured

IPERF = shutil.which("iperf3") or ""
pytestmark = pytest.mark.skipif(not IPERF, reason="needs the package iperf3; scripts/setup installs it")

CAP = 8_000_000
"""Bits a second of each flow: a twelfth of the bandwidth."""
SLOW = 2_000_000
_BANDWIDTH = 12 * CAP
_ENDS = "acceptor: {router_interface: ri-a, vpc: border}"
LIMITED = TEXT.replace(_ENDS, f"{_ENDS}, bandwidth: {_BANDWIDTH // 10**6}Mbps")
SERVER = "10.0.1.10"
FLOWS = {
    "slow": (30_001, ("--udp", "--length", "1000", "--bitrate", str(SLOW))),
    "fast": (30_002, ("--udp", "--length", "1000", "--bitrate", str(3 * CAP))),
    "tcp": (30_003, ("--congestion", "cubic")),
}
"""Source port, and how it sends."""


@pytest.fixture
def host(tmp_path: Path) -> Iterator[AgentHost]:
    made = AgentHost(tmp_path)
    with cable("wire0"):
        try:
            yield made
        finally:
            made.close()


@contextmanager
def flows() -> Iterator[None]:
    """All of them at once, until the block ends."""
    with ExitStack() as stack:
        for port, options in FLOWS.values():
            server = stack.enter_context(_running("dp-i-outside", "--server", "--forceflush", "--port", str(port)))
            assert server.stdout is not None and any("listening" in line for line in server.stdout)
            client = ("--client", SERVER, "--port", str(port), "--cport", str(port), "--time", "60", *options)
            stack.enter_context(_running("dp-i-inside", *client))
        yield


@contextmanager
def _running(namespace: str, *options: str) -> Iterator["subprocess.Popen[str]"]:
    """What it prints in a minute fits into the pipe."""
    with netns.entered(namespace):
        process = subprocess.Popen([IPERF, *options], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


def looks(host: AgentHost, *options: str) -> list[dict[str, Any]]:
    """What the command prints, look by look."""
    done = command(host, "top", "-o", "json", "--interval", "600ms", "--flows", "100", *options)
    return [json.loads(line) for line in done.splitlines()]


def command(host: AgentHost, *words: str) -> str:
    folders = ("--state-dir", str(host.state_dir), "--run-dir", str(host.run_dir))
    line = [sys.executable, "-m", "dataplane", *folders, *words]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def by_name(look: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The three flows; iperf3's control connections are others, and so is what comes back by the other end."""
    wire = {"udp": ("slow", "fast"), "tcp": ("tcp",)}
    found = {}
    for flow in look["flows"]:
        for name in wire.get(flow["protocol"], ()):
            if (flow["source_port"], flow["router_interface"]) == (FLOWS[name][0], "ri-a"):
                found[name] = flow
    return found


def assert_as_sent(look: dict[str, Any]) -> None:
    """Rates of the three, and the connection that carries them."""
    found = by_name(look)
    assert set(found) == set(FLOWS), look["flows"]
    for name, flow in found.items():
        assert (flow["source"], flow["destination"], flow["destination_port"]) == (
            "192.168.1.10",
            SERVER,
            FLOWS[name][0],
        )
        assert (flow["connection"], flow["router_interface"], flow["flow_cap"]) == ("pcx-1", "ri-a", CAP)
    # 28 bytes of headers in front of 1,000.
    assert found["slow"]["bits_per_second"] == pytest.approx(SLOW * 1.028, rel=0.3)
    assert found["fast"]["share"] == pytest.approx(1, abs=0.15)
    assert 0.6 < found["tcp"]["share"] < 1.15
    assert found["slow"]["state"] == FlowState.UNDER
    assert look["flows_seen"] >= len(FLOWS) and look["flow_table"]["used"] >= 1
    end = next(end for end in look["connections"] if end["router_interface"] == "ri-a")
    assert (end["bandwidth"], end["flow_cap"]) == (_BANDWIDTH, CAP)
    assert end["dropped"]["packets_per_second"] > 100
    # All three together, 18 Mbit/s: at XDP, too, where the kernel sends what is over its limit.
    assert end["sent"]["bits_per_second"] > 1.9 * CAP


def on_a_terminal(host: AgentHost, *keys: str) -> str:
    """What the command draws until q; the keys are pressed when the first look is there."""
    ours, its = pty.openpty()
    folders = ("--state-dir", str(host.state_dir), "--run-dir", str(host.run_dir))
    line = [sys.executable, "-m", "dataplane", *folders, "top", "--interval", "200ms"]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "120", "LINES": "30"}
    process = subprocess.Popen(line, cwd=ROOT, stdin=its, stdout=its, stderr=its, env=environment)
    os.close(its)
    drawn, pressed = "", False
    try:
        with suppress(OSError):  # EIO: it has ended, and so has its terminal
            while data := os.read(ours, 65_536):
                drawn += data.decode(errors="replace")
                if "sorted by" in drawn and not pressed:
                    os.write(ours, "".join((*keys, "q")).encode())
                    pressed = True
        assert process.wait(PATIENCE_S) == 0, drawn
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return drawn


def test_on_a_terminal_it_goes_on_until_q_with_an_agent_and_without(host: AgentHost) -> None:
    host.start(hooked(LIMITED, "tc"))
    assert "sorted by throttled" in on_a_terminal(host, "t")
    host.kill(signal.SIGTERM)
    assert "ri-a" in on_a_terminal(host)


@pytest.mark.parametrize("hook", ["tc", "xdp"])
def test_r167_flows_have_their_rates_with_an_agent_and_without(host: AgentHost, hook: str) -> None:
    host.start(hooked(LIMITED, hook), "--metrics", "127.0.0.1:0")
    with flows():
        time.sleep(1.0)
        by_agent = looks(host, "--count", "3")
        rest = iter(by_agent)
        measured(lambda: next(rest), assert_as_sent, len(by_agent))
        # A sender that had no processor for a while may be within its burst at one look, not at all of them.
        states = {name: {by_name(look)[name]["state"] for look in by_agent} for name in FLOWS}
        assert FlowState.POLICED in states["fast"]
        assert FlowState.QUEUED in states["tcp"] or hook == "xdp", "at XDP it is the kernel that queues"
        wait(
            "a note", lambda: any("pcx-1 is over its limits now at ri-a" in note for note in host.client.status().notes)
        )
        found = scrape(host)
        assert found[
            'dataplane_connection_limit_bytes_per_second{connection="pcx-1",of="flow",router_interface="ri-a"}'
        ]
        assert sum(
            value for series, value in found.items() if re.match(r"dataplane_connection_throttled_p.*dropped", series)
        )
        assert found['dataplane_map_limit_entries{map="dp_flow"}'] >= 64
        host.kill(signal.SIGTERM)
        measured(lambda: looks(host, "--count", "1", "--connection", "pcx-1")[0], assert_as_sent)
        table = json.loads(command(host, "datapath", "show", "flows", "-o", "json"))["flows"]
        ports = {flow["source_port"]: flow for flow in table["flows"] if flow["router_interface"] == "ri-a"}
        assert {port for port, _ in FLOWS.values()} <= set(ports)
        assert ports[FLOWS["fast"][0]]["bytes"] > ports[FLOWS["slow"][0]]["bytes"] > 0
