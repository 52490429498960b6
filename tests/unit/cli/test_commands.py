"""What plan, apply, destroy and status print for what a session answers, and with which exit code."""

import json
from collections.abc import Callable
from ipaddress import IPv4Network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dataplane.agent.report import Planned, Report, Status
from dataplane.cli.main import cli
from dataplane.model.kernel import KernelRoute, Namespace, Rule, Sysctl
from dataplane.model.observation import Foreign
from dataplane.model.resource import NOWHERE, Origin, Resource
from dataplane.observe.status import ResourceState
from dataplane.plan.action import Action, Outcome, Verb

RED = Resource("vpc", "red")
LINE = Origin("net.yaml", 12, 3)
CREATE = Action(Verb.CREATE, Namespace("dp-vpc-red", "dataplane vpc/red"), owner=RED, origin=LINE)
CHANGE = Action(
    Verb.CHANGE,
    Sysctl("dp-vpc-red", "net/ipv4/ip_forward", "1"),
    before=Sysctl("dp-vpc-red", "net/ipv4/ip_forward", "0"),
    owner=RED,
    origin=LINE,
)
DELETE = Action(Verb.DELETE, KernelRoute("dp-vpc-red", 1001, IPv4Network("10.1.0.0/16"), nexthop=11), origin=NOWHERE)
FOREIGN = Foreign(("namespace", "dp-vpc-blue"), "namespace dp-vpc-blue is not ours")
PLANNED = Planned((CREATE, CHANGE, DELETE), ("VBRs are not built yet",), (FOREIGN,))
NOTHING = Planned(())


class FakeSession:
    """Answers what it was given, and remembers what it was asked."""

    def __init__(self, planned: Planned, report: Report, status: Status) -> None:
        self._planned, self._report, self._status = planned, report, status
        self.asked: list[str] = []

    def plan(self, loaded: Any, here: str = "", *, offline: bool = False) -> Planned:
        self.asked.append(f"plan offline={offline}")
        return self._planned

    def apply(self, loaded: Any, here: str = "") -> Report:
        self.asked.append("apply")
        return self._report

    def destroy(self) -> Report:
        self.asked.append("destroy")
        return self._report

    def status(self) -> Status:
        self.asked.append("status")
        return self._status


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeSession]:
    """Puts a session with these answers behind the commands, as root, with a valid file."""

    def put(
        planned: Planned = NOTHING,
        report: Report | None = None,
        status: Status | None = None,
    ) -> FakeSession:
        session = FakeSession(planned, report or Report(NOTHING), status or Status((), "", "", ()))
        for name in ("plan", "apply", "destroy", "status"):
            module = f"dataplane.cli.{name}"
            monkeypatch.setattr(f"{module}.open_session", lambda progress=None: session)
        loaded = SimpleNamespace(
            warnings=("net.yaml:3:1: warning: no way back (R72)",), network=SimpleNamespace(hosts={})
        )
        for name in ("plan", "apply"):
            monkeypatch.setattr(f"dataplane.cli.{name}.load", lambda files: loaded)
        monkeypatch.setattr("os.geteuid", lambda: 0)
        return session

    return put


def run(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(cli, arguments, input=answer)


def test_a_plan_for_people_has_its_summary_first_and_groups_by_verb_and_asker(use) -> None:
    use(PLANNED)
    assert run("plan").stdout.splitlines() == [
        "plan: 1 to create, 1 to change, 1 to delete",
        "",
        "+ create  vpc red  (net.yaml:12:3)",
        "    namespace dp-vpc-red",
        "",
        "~ change  vpc red  (net.yaml:12:3)",
        "    dp-vpc-red: sysctl net.ipv4.ip_forward = 1 (value: 0 -> 1)",
        "",
        "- delete  no longer asked for",
        "    dp-vpc-red: route 10.1.0.0/16 nhid 11 table 1001",
    ]


def test_the_sysctls_of_a_new_namespace_are_one_line_for_people_and_all_there_as_json(use) -> None:
    sysctls = tuple(
        Action(Verb.CREATE, Sysctl("dp-vpc-red", f"net/ipv4/conf/all/{name}", "0"), owner=RED, origin=LINE)
        for name in ("rp_filter", "arp_ignore", "proxy_arp", "arp_filter")
    )
    use(Planned((*sysctls, CREATE)))
    assert run("plan").stdout.splitlines()[2:] == [
        "+ create  vpc red  (net.yaml:12:3)",
        "    dp-vpc-red: sysctl net.ipv4.conf.all.rp_filter = 0, and 3 more sysctls (-o json has them all)",
        "    namespace dp-vpc-red",
    ]
    assert len(json.loads(run("plan", "-o", "json").stdout)["actions"]) == 5


@pytest.mark.parametrize("form", ["table", "json", "yaml"])
def test_notes_foreign_objects_and_warnings_are_said_in_every_form(use, form: str) -> None:
    use(PLANNED)
    stderr = run("plan", "-o", form).stderr
    assert "net.yaml:3:1: warning: no way back (R72)" in stderr
    assert "note: VBRs are not built yet" in stderr
    assert "warning: namespace dp-vpc-blue is not ours" in stderr


def test_a_plan_as_json_keeps_the_order_of_the_actions_and_where_they_come_from(use) -> None:
    use(PLANNED)
    document = json.loads(run("plan", "-o", "json").stdout)
    assert document["summary"] == {"create": 1, "change": 1, "delete": 1}
    assert [action["verb"] for action in document["actions"]] == ["create", "change", "delete"]
    assert document["actions"][1] == {
        "verb": "change",
        "kind": "sysctl",
        "namespace": "dp-vpc-red",
        "object": "dp-vpc-red: sysctl net.ipv4.ip_forward = 1",
        "before": "dp-vpc-red: sysctl net.ipv4.ip_forward = 0",
        "resource": {"kind": "vpc", "id": "red"},
        "file": "net.yaml",
        "line": 12,
        "column": 3,
    }
    assert document["actions"][2]["file"] is None
    assert document["foreign"] == ["namespace dp-vpc-blue is not ours"]


@pytest.mark.parametrize(
    ("planned", "arguments", "code"),
    [
        (PLANNED, [], 0),
        (PLANNED, ["--detailed-exitcode"], 3),
        (NOTHING, ["--detailed-exitcode"], 0),
    ],
)
def test_the_exit_code_of_plan(use, planned: Planned, arguments: list[str], code: int) -> None:
    use(planned)
    assert run("plan", *arguments).exit_code == code


def test_plan_offline_needs_no_root(use, monkeypatch) -> None:
    session = use(PLANNED)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert run("plan", "--offline").exit_code == 0
    assert session.asked == ["plan offline=True"]


def test_an_apply_with_nothing_to_do_says_so_in_one_line(use) -> None:
    use()
    result = run("apply")
    assert result.exit_code == 0
    assert result.stdout == "plan: nothing to do, this host is as the files say\n"


def test_an_apply_that_is_done_says_how_much_and_how_long(use) -> None:
    use(report=Report(PLANNED, (Outcome(CREATE), Outcome(CHANGE), Outcome(DELETE)), seconds=0.25))
    result = run("apply")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "plan: 1 to create, 1 to change, 1 to delete",
        "applied: 3 actions in 0.25 s, and verified",
    ]


FAILED = Report(
    PLANNED,
    (Outcome(CREATE, "no space left"), Outcome(CHANGE), Outcome(DELETE, "a stranger's", is_conflict=True)),
    rolled_back=("red",),
    remaining=("namespace dp-vpc-red is missing",),
)


@pytest.mark.parametrize(("command", "word"), [("apply", "applied"), ("destroy", "destroyed")])
def test_every_failure_is_named_with_who_asked_and_the_exit_code_is_1(use, command: str, word: str) -> None:
    use(report=FAILED)
    result = run(command)
    assert result.exit_code == 1
    assert f"not {word}: 1 of 3 actions done, 1 difference left, in" in result.stdout
    for text in (
        "error: create namespace dp-vpc-red\n  no space left\n  asked for by vpc red at net.yaml:12:3\n",
        "error: delete dp-vpc-red: route 10.1.0.0/16 nhid 11 table 1001\n  a stranger's\n",
        "error: red: rolled back",
        "error: after all that: namespace dp-vpc-red is missing",
        f"run `dataplane {command}` again",
    ):
        assert text in result.stderr


def test_what_waits_for_a_failure_is_one_line(use) -> None:
    """A missing namespace holds back twenty actions of its instance: the cause is named, not twenty times."""
    said = "cannot create namespace dp-vpc-red (asked for by vpc red): no space left"
    waiting = [Outcome(CHANGE, "held back: it needs namespace dp-vpc-red, which is not there", is_held_back=True)] * 20
    use(report=Report(PLANNED, (Outcome(CREATE, said), *waiting)))
    result = run("apply")
    assert result.exit_code == 1
    assert f"error: {said}\n  asked for by vpc red at net.yaml:12:3\n" in result.stderr
    assert "error: held back for that: 20 actions, of vpc red; -o json names them all\n" in result.stderr
    assert len(result.stderr.splitlines()) == 7
    assert len(json.loads(run("apply", "-o", "json").stdout)["failed"]) == 21


def test_what_goes_from_a_resource_that_stays_does_not_look_like_its_end(use) -> None:
    """The default rules of a new VPC go: `- delete vpc red` would frighten."""
    rule = Action(Verb.DELETE, Rule("dp-vpc-red", 32766, 254), owner=RED, origin=LINE)
    use(Planned((CREATE, rule)))
    assert "- delete  from vpc red  (net.yaml:12:3)\n" in run("plan").stdout


def test_destroy_with_nothing_to_do_does_not_speak_of_files(use) -> None:
    use()
    assert run("destroy", "--yes").stdout == "plan: nothing to do, nothing of ours is on this host\n"


def test_a_failed_apply_as_json(use) -> None:
    use(report=FAILED)
    result = run("apply", "-o", "json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["is_done"], document["done"]) == (1, False, 1)
    assert [(failure["object"], failure["error"], failure["is_conflict"]) for failure in document["failed"]] == [
        ("namespace dp-vpc-red", "no space left", False),
        ("dp-vpc-red: route 10.1.0.0/16 nhid 11 table 1001", "a stranger's", True),
    ]
    assert document["rolled_back"] == ["red"]
    assert document["remaining"] == ["namespace dp-vpc-red is missing"]


def test_an_interrupted_apply_says_that_the_next_one_finishes_it(use, monkeypatch) -> None:
    session = use()

    def interrupt(loaded: Any, here: str) -> Report:
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "apply", interrupt)
    result = run("apply")
    assert result.exit_code == 130
    assert "the same command finishes it" in result.stderr


@pytest.mark.parametrize(
    ("is_terminal", "arguments", "answer", "code", "asked"),
    [
        (True, [], "y\n", 0, ["destroy"]),
        (True, [], "n\n", 1, []),
        (True, [], "", 130, []),
        (True, ["--yes"], "", 0, ["destroy"]),
        (False, [], "", 0, ["destroy"]),
    ],
)
def test_destroy_asks_on_a_terminal_only(
    use, monkeypatch, is_terminal: bool, arguments: list[str], answer: str, code: int, asked: list[str]
) -> None:
    session = use()
    monkeypatch.setattr("dataplane.cli.destroy._is_asked", lambda: is_terminal)
    result = run("destroy", *arguments, answer=answer)
    assert (result.exit_code, session.asked) == (code, asked)
    assert ("Take away" in result.stderr) == (is_terminal and not arguments)


GOOD = ResourceState(RED, "Available", "", "namespace dp-vpc-red", LINE, "10.0.0.0/8")
STOPPED = ResourceState(Resource("instance", "web"), "Stopped", "state: stopped in the file (R85)", "dp-i-web", LINE)
GONE = ResourceState(Resource("instance", "db"), "Missing", "its namespace is gone", "dp-i-db", LINE)
WHEN = "2026-01-02T03:04:05Z"


def status_of(*states: ResourceState, unhealthy: tuple[ResourceState, ...] = ()) -> Status:
    return Status(states, "ab" * 32, WHEN, ("net.yaml",), unhealthy=unhealthy)


def test_status_of_a_healthy_host(use) -> None:
    use(status=status_of(GOOD, STOPPED))
    result = run("status")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"healthy: 2 resources (1 Available, 1 Stopped), applied {WHEN} from net.yaml (sha256 abababababab)",
        "",
        "KIND      ID   STATE      DETAIL      KERNEL OBJECT         REASON",
        "vpc       red  Available  10.0.0.0/8  namespace dp-vpc-red",
        "instance  web  Stopped                dp-i-web              state: stopped in the file (R85)",
    ]


def test_leftovers_without_a_file_are_unhealthy_and_say_what_to_do(use) -> None:
    use(status=Status((), "", "", (), leftovers=tuple(f"instance i-{number}" for number in range(30))))
    result = run("status")
    assert result.exit_code == 3
    assert result.stdout.startswith("unhealthy: an apply was not finished")
    assert "instance i-9 and 20 more\n" in result.stdout
    assert "sudo dataplane apply FILE" in result.stderr and "sudo dataplane destroy" in result.stderr
    assert len(json.loads(run("status", "-o", "json").stdout)["leftovers"]) == 30


def test_an_unhealthy_status_is_3_whatever_the_filters_show(use) -> None:
    use(status=status_of(GOOD, GONE, unhealthy=(GONE,)))
    result = run("status", "--kind", "vpc", "-o", "json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["is_healthy"]) == (3, False)
    assert [resource["id"] for resource in document["resources"]] == ["red"]
    assert document["summary"] == {"Available": 1, "Missing": 1}
    assert "dataplane apply" in result.stderr


def test_status_problems_leaves_out_what_is_well(use) -> None:
    use(status=status_of(GOOD, STOPPED, GONE, unhealthy=(GONE,)))
    document = json.loads(run("status", "--problems", "-o", "json").stdout)
    assert [resource["id"] for resource in document["resources"]] == ["web", "db"]


def test_a_wrong_kind_is_a_wrong_use(use) -> None:
    use(status=status_of(GOOD, GONE))
    result = run("status", "--kind", "instanse")
    assert result.exit_code == 2
    assert "Did you mean instance?" in result.stderr


def test_status_where_nothing_is_applied_says_what_to_do(use) -> None:
    use()
    result = run("status")
    assert result.exit_code == 0
    assert result.stdout == "nothing is applied on this host\n"
    assert "dataplane apply" in result.stderr


def test_the_folders_come_from_options_and_environment(monkeypatch) -> None:
    seen = []
    monkeypatch.setattr("os.geteuid", lambda: 0)
    session = FakeSession(NOTHING, Report(NOTHING), Status((), "", "", ()))
    monkeypatch.setattr("dataplane.agent.session.Session", lambda *arguments: seen.append(arguments) or session)
    monkeypatch.setenv("DATAPLANE_RUN_DIR", "/tmp/run")
    assert run("--state-dir", "/tmp/state", "status").exit_code == 0
    assert seen == [(Path("/tmp/state"), Path("/tmp/run"), None)]
