"""`dataplane datapath leg`: what it prints in each form, its exit codes, and where else the leg is shown."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from dataplane.agent.session import Session
from dataplane.agent.store import Store
from dataplane.agent.why import explain_offline
from dataplane.cli.datapath_text import groups_document, legs_document
from dataplane.cli.main import cli
from dataplane.compile.compiler import compile_network
from dataplane.compile.forwarding import compile_forwarding
from dataplane.model.ids import IdBook
from dataplane.model.leg import LegVerdicts
from dataplane.observe.why.atlas import Atlas
from dataplane.observe.why.explain import Explainer, Question
from tests.fakes.circuits import Circuits
from tests.fakes.kernel import FakeKernel
from tests.fakes.networks import network

Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """The command as root, over a host whose kernel is a fake one."""
    session = Session(tmp_path / "state", tmp_path / "run", driver=FakeKernel())
    assert session.apply(network(Circuits(2).text)).is_done
    monkeypatch.setattr("dataplane.cli.datapath_leg.open_session", lambda: session)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return lambda *words: CliRunner().invoke(cli, ["datapath", "leg", *words])


def test_for_people_the_first_line_says_what_holds_now(run: Run) -> None:
    result = run("ri-a0", "down")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("ri-a0 is down by hand since 20")
    assert lines[2].split() == ["VPC", "MODE", "LEGS", "TRAFFIC", "GOES", "BY"]
    assert lines[3].split() == ["vpc-a", "load_balance", "ri-a0", "down,", "ri-a1", "up", "ri-a1"]
    assert "note: leg ri-a0 is down by hand since" in result.stderr
    assert run("ri-a0", "auto").stdout.startswith("ri-a0 is left to its health check")


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_the_document(run: Run, form: str, read: Callable[[str], Any]) -> None:
    document = read(run("ri-a0", "down", "-o", form).stdout)
    assert (document["leg"], document["state"], document["cause"]) == ("ri-a0", "down", "hand")
    assert document["since"].startswith("20")
    group = {"vpc": "vpc-a", "mode": "load_balance", "legs": {"ri-a0": "down", "ri-a1": "up"}, "used": ["ri-a1"]}
    assert document["groups"] == [group]
    assert document["apply"]["is_done"] is True
    back = read(run("ri-a0", "auto", "-o", form).stdout)
    assert (back["state"], back["cause"], back["since"]) == ("up", None, None)


def test_exit_codes_and_the_words_of_refusals(run: Run) -> None:
    unknown = run("ri-x", "down")
    assert unknown.exit_code == 2 and "there is no router interface ri-x" in unknown.stderr
    assert run("ri-a0", "sideways").exit_code == 2
    assert run("ri-a0", "down").exit_code == 0
    last = run("ri-a1", "down")
    assert last.exit_code == 1 and "--force takes it down all the same" in last.stderr
    assert run("ri-a1", "down", "--force").exit_code == 0


def test_it_needs_root(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert run("ri-a0", "down").exit_code == 6


def verdicts(tmp_path: Path) -> LegVerdicts:
    return Store(tmp_path / "state").load().legs


def test_show_says_who_took_a_leg_down_and_what_is_used_now(run: Run, tmp_path: Path) -> None:
    run("ri-a0", "down")
    said = verdicts(tmp_path)
    desired = compile_network(network(Circuits(2).text), IdBook(), {}, verdicts=said)
    state = compile_forwarding(desired)
    legs = {row["leg"]: row for row in legs_document(state, said)}
    assert legs["ri-a0"]["state"] == "down" and str(legs["ri-a0"]["why"]).startswith("down by hand since")
    assert (legs["ri-a1"]["state"], legs["ri-a1"]["why"]) == ("up", "")
    groups = {row["leg"]: (row["share"], row["share_now"]) for row in groups_document(state, said)}
    assert groups == {"ri-a0": (50.0, 0.0), "ri-a1": (50.0, 100.0)}


def why(text: str, said: LegVerdicts) -> Any:
    loaded = network(text)
    desired = compile_network(loaded, IdBook(), {}, verdicts=said)
    return Explainer(Atlas(loaded, desired)).explain(Question("ecs", "172.16.0.1")).forward


def test_why_says_who_took_a_leg_down_and_what_the_route_does_then(run: Run, tmp_path: Path) -> None:
    run("ri-a0", "down")
    way = why(Circuits(2).text, verdicts(tmp_path))
    assert [note for note in way.notes if "ri-a0 of vpc-a is down by hand since" in note and "take another one" in note]
    assert way.hops[1].egress.startswith("ri-a1 (")
    run("ri-a1", "down", "--force")
    all_down = why(Circuits(2).text, verdicts(tmp_path))
    assert len([note for note in all_down.notes if "with all of them down it counts as up (D2)" in note]) == 2
    dropped = why(Circuits(2, dropping=frozenset({0, 1})).text, verdicts(tmp_path))
    assert dropped.verdict.code == "BLACKHOLE"
    assert dropped.verdict.text.startswith("no leg is left: ri-a0 is down by hand since")
    assert "datapath leg ri-a0 auto" in dropped.verdict.remedy


def test_why_without_verdicts_names_the_other_legs_once() -> None:
    """A group of four has 24 places, and four legs."""
    found = explain_offline(network(Circuits(4).text), Question("ecs", "172.16.0.1"))
    notes = [note for note in found.forward.notes if "a flow that vpc-a sends by" in note]
    assert len(notes) == len(set(notes)) == 3
