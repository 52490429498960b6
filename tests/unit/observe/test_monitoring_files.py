"""The dashboard and the alert rules name only what the collector really gives; Prometheus itself checks the rules."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from dataplane.model.forwarding import Reason, Verdict
from dataplane.observe.health import HealthState
from dataplane.observe.metrics import registry
from tests.fakes.metrics import FakeSources
from tests.fakes.promql import NotUnderstood, read

FOLDER = Path(__file__).resolve().parents[3] / "scripts" / "monitoring"
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
RULES = yaml.safe_load((FOLDER / "rules.yaml").read_text())

OF_PROMETHEUS = {"job", "instance"}
"""Labels that a scrape adds."""
WORDS = {
    "verdict": {verdict.value for verdict in Verdict},
    "reason": {reason.name.lower() for reason in Reason},
    "state": {state.value for state in HealthState},
    "direction": {"sent", "received"},
    "outcome": {"unchanged", "changed", "failed", "applied", "refused"},
    "how": {"queued", "dropped"},
    "of": {"flow", "connection"},
    "quantile": {"0.5", "0.9", "0.99", "1"},
    "job": {"dataplane"},
}
"""Values of labels that are words of ours; ids and variables of Grafana can be anything."""


def given() -> dict[str, set[str]]:
    """Every metric of a scrape with its labels; and ``up``, which Prometheus makes."""
    found: dict[str, set[str]] = {"up": set()}
    for family in text_string_to_metric_families(generate_latest(registry(FakeSources())).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


GIVEN = given()


def faults(expression: str, said: str = "") -> list[str]:
    """What an expression, or the text beside it with ``{{label}}``, names and the collector does not give."""
    used, found = read(expression), []
    known = OF_PROMETHEUS | {label for name, _ in used.metrics for label in GIVEN.get(name, set())}
    for name, matchers in used.metrics:
        if name not in GIVEN:
            found.append(f"there is no metric {name}")
            continue
        for label, sign, text in matchers:
            if label not in GIVEN[name] | OF_PROMETHEUS:
                found.append(f"{name} has no label {label}")
            elif "$" not in text and not _can_match(label, sign, text):
                found.append(f"{name} never has {label}{sign}{text}")
    if not used.metrics:
        found.append("no metric at all")
    named = set(re.findall(r"\{\{ *(?:\$labels\.)?([a-z_]+) *\}\}", said)) - {"value"}
    found += [f"no label {label} can be shown" for label in sorted((used.labels | named) - known)]
    return found


def _can_match(label: str, sign: str, text: str) -> bool:
    words = WORDS.get(label)
    if words is None:
        return True
    return any(re.fullmatch(text, word) if "~" in sign else text == word for word in words)


def panels() -> Iterator[tuple[str, str, str]]:
    """(title, expression, legend) of all that the dashboard shows."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"], target["legendFormat"]
    for note in DASHBOARD["annotations"]["list"]:
        yield note["name"], note["expr"], note["titleFormat"]


def rules() -> Iterator[dict[str, Any]]:
    for group in RULES["groups"]:
        yield from group["rules"]


@pytest.mark.parametrize(("title", "expression", "legend"), list(panels()), ids=lambda text: text[:40])
def test_what_a_panel_shows_is_there(title: str, expression: str, legend: str) -> None:
    assert faults(expression, legend) == [], title


@pytest.mark.parametrize("rule", list(rules()), ids=lambda rule: rule["alert"])
def test_what_a_rule_watches_is_there(rule: dict[str, Any]) -> None:
    assert faults(rule["expr"], " ".join(rule["annotations"].values())) == []
    assert rule["labels"]["severity"] in ("warning", "critical")


def test_the_dashboards_variables_ask_for_what_is_there() -> None:
    asked = [item["query"] for item in DASHBOARD["templating"]["list"] if item["type"] == "query"]
    assert asked
    for query in asked:
        metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", query).groups()
        assert metric in GIVEN and label in GIVEN[metric] | OF_PROMETHEUS


@pytest.mark.parametrize(
    ("expression", "said", "fault"),
    [
        ("rate(dataplane_leg_flops_total[5m])", "", "there is no metric dataplane_leg_flops_total"),
        ('dataplane_leg_up{vpc="a"} == 0', "", "dataplane_leg_up has no label vpc"),
        ("sum by (vpc) (dataplane_leg_up)", "", "no label vpc can be shown"),
        ("dataplane_leg_up", "{{ $labels.port }}", "no label port can be shown"),
        ("dataplane_leg_up", "{{port}}", "no label port can be shown"),
        ('dataplane_packets_total{reason=~"spooft_.*"}', "", "never has reason=~spooft_.*"),
        ('dataplane_packets_total{verdict="dropped"}', "", "never has verdict=dropped"),
        ('up{job="dataplan"}', "", "never has job=dataplan"),
        ("vector(1)", "", "no metric at all"),
    ],
)
def test_the_checker_sees_what_is_not_there(expression: str, said: str, fault: str) -> None:
    assert any(fault in found for found in faults(expression, said))


@pytest.mark.parametrize("expression", ["histogram_quantile(0.9, x)", "dataplane_leg_up @ 5", "sum"])
def test_the_reader_refuses_what_it_does_not_know(expression: str) -> None:
    with pytest.raises(NotUnderstood):
        read(expression)


def test_every_rule_is_shown_firing_and_not_firing() -> None:
    shown: dict[str, set[bool]] = {}
    for test in yaml.safe_load((FOLDER / "rules_test.yaml").read_text())["tests"]:
        for case in test["alert_rule_test"]:
            shown.setdefault(case["alertname"], set()).add(bool(case["exp_alerts"]))
    assert shown == {rule["alert"]: {True, False} for rule in rules()}


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("there is no promtool: Debian package prometheus")
    return found


def test_prometheus_accepts_the_rules_and_their_tests(promtool: str) -> None:
    for words in (["check", "rules", "rules.yaml"], ["test", "rules", "rules_test.yaml"]):
        run = subprocess.run([promtool, *words], cwd=FOLDER, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr


def test_prometheus_finds_no_fault_with_names_and_help(promtool: str) -> None:
    text = generate_latest(registry(FakeSources()))
    run = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
    assert (run.returncode, run.stdout + run.stderr) == (0, b"")


def test_promtool_sees_a_bad_name(promtool: str) -> None:
    text = b"# HELP dataplane_flips of a leg\n# TYPE dataplane_flips counter\ndataplane_flips 1\n"
    run = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, check=False)
    assert run.returncode != 0
