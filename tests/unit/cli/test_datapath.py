"""`dataplane datapath`: the state in the words of the configuration, and a simulated packet's way."""

import json
import os
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dataplane.cli.main import cli
from dataplane.model.forwarding import Forwarding, How, Leaf, LeafKind, Reason
from dataplane.model.simulation import Run, Step
from lab.topology import TOPOLOGIES

NETWORK = str(TOPOLOGIES / "standby-circuits" / "network.yaml")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["datapath", *arguments, "--offline", NETWORK])


def document(*arguments: str) -> Any:
    return json.loads(run(*arguments, "-o", "json").stdout)


@pytest.mark.parametrize("kind", ["fib", "groups", "legs", "ports"])
def test_show_needs_no_root_with_files(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    result = run("show", kind)
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 1 + len(document("show", kind)[kind])


def test_show_without_files_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert CliRunner().invoke(cli, ["datapath", "show", "fib"]).exit_code == 6


def test_routes_say_where_they_lead() -> None:
    found = {(row["table"], row["destination"]): row for row in document("show", "fib")["fib"]}
    assert found["vpc-a/system", "192.168.1.10/32"]["says"] == "to instance/ecs-1"
    assert found["vpc-a/system", "172.16.0.0/16"]["says"] == "active standby over ri-a1, ri-a2"
    assert found["vpc-a/system", "10.10.10.2/32"]["says"] == "by ri-a1"
    lines = {to: found["vbr//vbr-1/from_router_interface", to]["says"] for to in ("172.16.0.0/16", "10.10.10.0/30")}
    assert lines == {"172.16.0.0/16": "to line/vbr-1 via 10.10.10.2", "10.10.10.0/30": "to line/vbr-1"}
    assert found["vpc-a/system", "0.0.0.0/0"]["verdict"] == "pass"
    assert "D16" in found["vpc-a/system/from_router_interface", "172.16.0.0/16"]["says"]


def test_groups_and_legs() -> None:
    rows = [(row["mode"], row["leg"], row["share"]) for row in document("show", "groups")["groups"]]
    assert rows == [
        ("active_standby", "ri-a1", 100.0),
        ("active_standby", "ri-a2", 0.0),
        ("load_balance", "ri-a1", 50.0),
        ("load_balance", "ri-a2", 50.0),
    ]
    legs = {row["leg"]: row for row in document("show", "legs")["legs"]}
    assert (legs["ri-a1"]["state"], legs["ri-a1"]["next_router"]) == ("up", "dp-vbr-vbr-1")


def test_ports_say_who_may_send() -> None:
    ports = {row["port"]: row for row in document("show", "ports")["ports"]}
    assert ports["instance/ecs-1"]["source"] == "192.168.1.10"
    assert (ports["line/vbr-1"]["source"], ports["line/vbr-1"]["table"]) == ("any", "vbr//vbr-1/from_line")


class FakeProgram:
    """Answers with what it was given, run after run; and remembers the frames."""

    def __init__(self, *runs: Run) -> None:
        self._runs, self.frames = list(runs), list[bytes]()

    def __call__(self, state: Forwarding, hook: Any, port: Any, packet: Any) -> Any:
        from dataplane.observe.simulation import travel

        def run_program(hook: Any, number: int, frame: bytes) -> Run:
            self.frames.append(frame)
            return self._runs.pop(0)

        return travel(state, run_program, hook, port, packet)


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Any:
    def put(*runs: Run) -> FakeProgram:
        program = FakeProgram(*runs)
        monkeypatch.setattr("dataplane.agent.datapath.simulate", program)
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        return program

    return put


FRAME = bytes(22) + b"\x3f" + bytes(20)


def test_a_dropped_packet_exits_with_3_and_says_why(answer: Any) -> None:
    step = Step(1, 9, Leaf(LeafKind.DROP, Reason.BLACKHOLE), 0, 0, 0)
    answer(Run(Reason.BLACKHOLE.verdict, Reason.BLACKHOLE, FRAME, 0, None, (step,)))
    result = run("simulate", "ecs-1", "10.9.9.9")
    assert result.exit_code == 3, result.output
    assert result.stdout.startswith("Dropped at instance/ecs-1: into a blackhole")


def test_a_packet_is_sent_as_asked(answer: Any) -> None:
    program = answer(Run(Reason.TTL.verdict, Reason.TTL, FRAME, 0, None, (Step(1, 0, None, 0, 0, 0),)))
    options = [
        "--proto",
        "tcp",
        "--sport",
        "1000",
        "--dport",
        "443",
        "--ttl",
        "7",
        "--size",
        "100",
        "--source",
        "1.2.3.4",
    ]
    assert run("simulate", "ecs-1", "ecs-2", *options).exit_code == 3
    (frame,) = program.frames
    assert (len(frame), frame[22], frame[23]) == (114, 7, 6)
    assert frame[20:22] == b"\x40\x00"
    assert frame[26:38] == bytes([1, 2, 3, 4, 192, 168, 2, 10, 3, 232, 1, 187])


def test_the_next_hop_of_somebody_else_is_no_delivery(answer: Any) -> None:
    step = Step(1, 9, Leaf(LeafKind.HOP, 10), 0, 0, 10)  # ecs-2's
    there = Run(Reason.FORWARDED.verdict, Reason.FORWARDED, FRAME, 3, How.PEER, (step,))
    answer(there)
    assert run("simulate", "ecs-1", "10.9.9.9").stdout.startswith("Handed to instance/ecs-2, which is not")
    answer(there)
    result = run("simulate", "ecs-1", "ecs-2")
    assert (result.exit_code, result.stdout.splitlines()[0]) == (
        0,
        "Delivered to instance/ecs-2 by tc through 1 router, with TTL 63.",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ecs-9", "ecs-2"], "no instance and no port ecs-9"),
        (["ecs-1", "ecs-22"], "ecs-22 is no instance and no IPv4 address"),
        (["line/vbr-1", "ecs-2"], "say with --source"),
        (["ecs-1", "ecs-2", "--dport", "80"], "icmp has no ports"),
        (["ecs-1", "ecs-2", "--size", "9000"], "9000 is not in the range"),
        (["ecs-1", "ecs-2", "--source", "nobody"], "is not an IPv4 address"),
    ],
)
def test_wrong_uses_are_refused(monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    result = run("simulate", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_simulate_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert run("simulate", "ecs-1", "ecs-2").exit_code == 6
