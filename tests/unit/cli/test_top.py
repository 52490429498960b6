"""`dataplane top` and `datapath show flows`: what flows, in tables and documents, with an agent and without."""

import json
import os
import pty
import select
import subprocess
import sys
import termios
import time
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from dataplane.agent.api.routes import MAX_TOP_S
from dataplane.agent.api.service import TopRequest
from dataplane.agent.session import Session
from dataplane.cli import top as command
from dataplane.cli import top_text
from dataplane.cli.main import cli
from dataplane.cli.output import drawn
from dataplane.cli.top_text import bits, ordered_connections, ordered_flows, top_document, top_sections
from dataplane.kernel import driver
from dataplane.model.flow import TCP, FlowEntry, FlowKey, FlowState
from dataplane.model.simulation import Count
from dataplane.model.traffic import Throttled, Traffic
from dataplane.observe.top import MOST_FLOWS, Rate, Top
from tests.fakes.flow_table import flow_table
from tests.fakes.kernel import FakeKernel
from tests.fakes.networks import PEERED, network
from tests.fakes.service import TOP, FakeService

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 30.0


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def test_a_look_by_the_agent(agent: Any, service: FakeService, as_user: None) -> None:
    result = run("top", "--interval", "2500ms", "--flows", "7", "--connection", "pcx-1")
    assert (result.exit_code, result.stderr) == (0, "")
    assert service.asked == [("top", TopRequest(2.5, 7, "pcx-1"))]
    assert result.stdout.splitlines() == [
        "1 router interface: 8 Mbit/s sent, 1 Mbit/s received; 1 flow (1 queued); flow table 1 of 65,536",
        "",
        "CONNECTION  ROUTER INTERFACE  SENT      RECEIVED  BANDWIDTH  SHARE  QUEUED/S  DROPPED/S",
        "pcx-1       ri-a1             8 Mbit/s  1 Mbit/s  96 Mbit/s  8%     33        0",
        "",
        "PROTOCOL  SOURCE             DESTINATION     CONNECTION  ROUTER INTERFACE  RATE        SHARE OF CAP  STATE",
        "tcp       192.168.0.2:40000  172.16.0.9:443  pcx-1       ri-a1             7.9 Mbit/s  99%           queued",
    ]


def test_documents_one_a_look(agent: Any, as_user: None) -> None:
    lines = run("top", "-o", "json", "--count", "3").stdout.splitlines()
    assert len(lines) == 3 and len(set(lines)) == 1
    document = json.loads(lines[0])
    assert document == {
        "version": 1,
        "seconds": 1.0,
        "connections": [
            {
                "connection": "pcx-1",
                "router_interface": "ri-a1",
                "sent": {"bits_per_second": 8_000_000, "packets_per_second": 700.0},
                "received": {"bits_per_second": 1_000_000, "packets_per_second": 90.0},
                "bandwidth": 96_000_000,
                "flow_cap": 8_000_000,
                "share": 0.0833,
                "queued": {"bits_per_second": 400_000, "packets_per_second": 33.0},
                "dropped": {"bits_per_second": 0, "packets_per_second": 0.0},
                "overflow_packets_per_second": 0.0,
                "shared_queue_packets_per_second": 0.0,
            }
        ],
        "flows": [
            {
                "protocol": "tcp",
                "source": "192.168.0.2",
                "source_port": 40_000,
                "destination": "172.16.0.9",
                "destination_port": 443,
                "connection": "pcx-1",
                "router_interface": "ri-a1",
                "bits_per_second": 7_900_000,
                "flow_cap": 8_000_000,
                "share": 0.9875,
                "state": "queued",
            }
        ],
        "flows_seen": 1,
        "flow_table": {"used": 1, "size": 65_536},
    }
    assert list(yaml.safe_load_all(run("top", "-o", "yaml", "--count", "2").stdout)) == [document] * 2


def test_tables_are_repeated_where_many_are_asked_for(agent: Any, as_user: None) -> None:
    assert run("top", "--count", "2").stdout.count("CONNECTION  ROUTER INTERFACE  SENT") == 2


def test_wrong_use(as_user: None) -> None:
    for arguments in (["--interval", "100ms"], ["--interval", "31s"], ["--count", "0"], ["--flows", "1001"]):
        assert run("top", *arguments).exit_code == 2
    assert (command._LONGEST_MS, command._MOST_FLOWS) == (MAX_TOP_S * 1_000, MOST_FLOWS)
    assert command._ORDERS == top_text.ORDERS


def test_without_an_agent_it_needs_root(as_user: None) -> None:
    result = run("top")
    assert result.exit_code == 6 and "run it with sudo" in result.stderr


KEY = FlowKey(0, int(IPv4Address("10.1.0.2")), int(IPv4Address("10.2.0.2")), TCP, 40_000, 443)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch, no_agent_of_this_machine: Path, as_root: None) -> FakeKernel:
    """A host with ``PEERED`` applied."""
    fake = FakeKernel()
    monkeypatch.setattr(driver, "KernelDriver", lambda: fake)
    session = Session(no_agent_of_this_machine / "state", no_agent_of_this_machine / "run", driver=fake)
    assert session.apply(network(PEERED)).is_done
    fake.leg = session._store.load().book.numbers["leg", "ri-1"]
    return fake


def test_alone_it_looks_twice(kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    # Three readings of the clock at each look, the traffic's between the first two: at 1 s, 3 s and 7 s.
    clock = iter(10**8 * tenths for at in (10, 30, 70) for tenths in (at - 1, at + 1, at + 3))

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        kernel.counted = Traffic({}, {kernel.leg: Count(10 * len(slept), 1_140 * len(slept))})
        kernel.flow_table = flow_table({5: FlowEntry(KEY._replace(leg=kernel.leg), 1_000 * len(slept), 1)})

    slept: list[float] = []
    monkeypatch.setattr("time.sleep", sleep)
    monkeypatch.setattr("time.monotonic_ns", lambda: next(clock))
    looks = [json.loads(line) for line in run("top", "-o", "json", "--count", "2").stdout.splitlines()]
    assert slept == [1.0, 1.0]
    sent = [end["sent"] for look in looks for end in look["connections"] if end["router_interface"] == "ri-1"]
    # Rates are by the time that passed, not by the one that was asked for: 2 s and 4 s.
    assert sent == [
        {"bits_per_second": 4_000, "packets_per_second": 5.0},
        {"bits_per_second": 2_000, "packets_per_second": 2.5},
    ]
    assert [look["flows"][0]["bits_per_second"] for look in looks] == [4_000, 2_000]


def test_another_apply_is_followed(
    kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch, no_agent_of_this_machine: Path
) -> None:
    session = Session(no_agent_of_this_machine / "state", no_agent_of_this_machine / "run", driver=kernel)
    texts = iter((PEERED.replace("ri-1", "ri-one"),))
    monkeypatch.setattr("time.sleep", lambda seconds: (text := next(texts, "")) and session.apply(network(text)))
    looks = [json.loads(line) for line in run("top", "-o", "json", "--count", "1").stdout.splitlines()]
    assert {"ri-one", "ri-2"} < {end["router_interface"] for end in looks[0]["connections"]}


def test_without_limits_it_says_why_there_are_no_flows(kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    result = run("top", "--count", "2")
    assert result.exit_code == 0
    assert "pcx-1       ri-1" in result.stdout and "PROTOCOL" not in result.stdout
    assert result.stderr.count("write `bandwidth: 1Gbps` beside its ends") == 1
    assert json.loads(run("top", "-o", "json").stdout)["flows"] is None


def test_a_connection_that_there_is_not_is_named(kernel: FakeKernel) -> None:
    result = run("top", "--connection", "pcx-9")
    assert result.exit_code == 2
    assert "there is no connection pcx-9; there are: pcx-1" in result.stderr


def test_a_network_without_a_forwarder_says_so(kernel: FakeKernel, no_agent_of_this_machine: Path) -> None:
    off = PEERED.replace("version: 1\n", "version: 1\ndatapath: {hook: off}\n")
    session = Session(no_agent_of_this_machine / "state", no_agent_of_this_machine / "run", driver=kernel)
    assert session.apply(network(off)).is_done
    assert (run("top").exit_code, "no forwarder is under this network" in run("top").stderr) == (1, True)


def test_the_flow_table(kernel: FakeKernel) -> None:
    key = KEY._replace(leg=kernel.leg)
    kernel.counted = Traffic({}, {kernel.leg: Count(1, 100)}, {kernel.leg: Throttled(overflow=1_234)})
    entries = [
        FlowEntry(key, 1_500, 25_000_000, True),
        FlowEntry(key._replace(protocol=1, source_port=0, destination_port=0), 2_500, 0),
    ]
    kernel.flow_table = flow_table(dict(enumerate(entries)))
    document = json.loads(run("datapath", "show", "flows", "-o", "json").stdout)["flows"]
    assert (document["size"], document["used"]) == (64, 1)
    assert [(flow["protocol"], flow["state"], flow["burst_used"]) for flow in document["flows"]] == [
        ("icmp", "idle", 0.0),
        ("tcp", "queued", 0.5),
    ]
    lines = [line.split() for line in run("datapath", "show", "flows").stdout.splitlines()]
    assert ["tcp", "10.1.0.2:40000", "10.2.0.2:443", "pcx-1", "ri-1", "1,500", "50%", "queued"] in lines
    assert ["icmp", "10.1.0.2", "10.2.0.2", "pcx-1", "ri-1", "2,500", "0%", "idle"] in lines


def test_no_flow_table_says_what_to_write(kernel: FakeKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "write `bandwidth: 1Gbps`" in run("datapath", "show", "flows").stdout
    assert run("datapath", "show", "flows", "--offline", "x.yaml").exit_code == 2
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert run("datapath", "show", "flows").exit_code == 6


(END,), (FLOW,) = TOP.connections, TOP.flows
MANY = replace(
    TOP,
    connections=(
        replace(END, connection="b", bandwidth=0),
        replace(END, connection="a", sent=Rate(1, 1), bandwidth=2),
        replace(END, connection="c", sent=Rate(2, 1), dropped=Rate(8, 900)),
    ),
    flows=(
        replace(FLOW, connection="b", bits=9e6, state=FlowState.UNDER, limit=0),
        replace(FLOW, connection="c", bits=2e6, state=FlowState.POLICED, limit=20_000_000),
        replace(FLOW, connection="a", bits=1e6, state=FlowState.UNDER, limit=2_000_000),
    ),
)


@pytest.mark.parametrize(
    ("order", "connections", "flows"),
    [("rate", "bca", "bca"), ("share", "acb", "acb"), ("throttled", "cab", "cba"), ("name", "abc", "abc")],
)
def test_orders(order: Any, connections: str, flows: str) -> None:
    assert "".join(end.connection for end in ordered_connections(MANY, order)) == connections
    assert "".join(flow.connection for flow in ordered_flows(MANY, order)) == flows
    assert "".join(end["connection"] for end in top_document(MANY, order)["connections"]) == connections


def test_ends_of_a_connection_stay_together() -> None:
    ends = [
        replace(END, connection=name[0], router_interface=name, sent=Rate(rate, 1))
        for name, rate in (("a1", 5), ("b1", 9), ("a2", 7), ("b2", 1))
    ]
    found = ordered_connections(replace(TOP, connections=tuple(ends)), "rate")
    assert [end.router_interface for end in found] == ["b1", "b2", "a1", "a2"]


def test_more_flows_than_are_shown_and_those_without_a_place_are_said() -> None:
    found = replace(TOP, flows_seen=41, connections=(replace(END, overflow=77.0),))
    text = drawn(top_sections(found, "rate"))
    assert "and 40 flows more: --flows shows them" in text
    assert "77 packets/s without a place in it" in text
    assert "no flow meets a limit now" in drawn(top_sections(Top(1.0, (), (), 0, 0, 64), "rate"))


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (0, "0 bit/s"),
        (999.4, "999 bit/s"),
        (999.6, "1 kbit/s"),
        (1_000, "1 kbit/s"),
        (83_333_333, "83.3 Mbit/s"),
        (99_960_000, "100 Mbit/s"),
        (999_600_000, "1 Gbit/s"),
        (1e9, "1 Gbit/s"),
        (123e9, "123 Gbit/s"),
        (5e12, "5 Tbit/s"),
    ],
)
def test_rates_in_words(rate: float, text: str) -> None:
    assert bits(rate) == text


LIVE = """
import itertools, sys, time
sys.path.insert(0, {root!r})
from dataplane.cli.top_live import show_live
from tests.fakes.service import TOP
def tops():
    for number in itertools.count():
        if number == {fails_at}:
            raise OSError("the agent has gone")
        yield TOP
        time.sleep(0.05)
show_live(tops(), "rate")
"""


def live(keys: bytes, waits_for: bytes, fails_at: int = -1) -> tuple[int, bytes, bool]:
    """Its exit code, what it drew, and whether the terminal is as before; keys are pressed when it has drawn some."""
    ours, its = pty.openpty()
    try:
        before = termios.tcgetattr(its)
        code = LIVE.format(root=str(ROOT), fails_at=fails_at)
        environment = {**os.environ, "COLUMNS": "160", "LINES": "40", "TERM": "xterm"}
        child = subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, env=environment, stdin=its, stdout=its, stderr=its
        )
        drawn_so_far, until = b"", time.monotonic() + PATIENCE
        while child.poll() is None and time.monotonic() < until:
            if select.select([ours], [], [], 0.05)[0]:
                drawn_so_far += os.read(ours, 65_536)
            if waits_for in drawn_so_far and keys:
                os.write(ours, keys[:1])
                keys, waits_for = keys[1:], b"sorted by throttled"
        child.kill()
        child.wait()
        while select.select([ours], [], [], 0.05)[0]:
            drawn_so_far += os.read(ours, 65_536)
        return child.returncode, drawn_so_far, termios.tcgetattr(its) == before
    finally:
        os.close(ours)
        os.close(its)


def test_on_a_terminal_it_goes_on_until_q() -> None:
    code, screen, is_as_before = live(b"tq", b"192.168.0.2:40000")
    assert (code, is_as_before) == (0, True), screen[-2_000:]
    assert b"sorted by rate" in screen and b"sorted by throttled" in screen


def test_an_error_gives_the_terminal_back() -> None:
    code, screen, is_as_before = live(b"", b"", fails_at=1)
    assert (code, is_as_before) == (1, True)
    assert b"the agent has gone" in screen
