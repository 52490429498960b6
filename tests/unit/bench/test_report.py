"""Reports: what people and programs get, and that a noisy one says so."""

import json
from collections import defaultdict

import pytest

from lab.bench import __main__ as command
from lab.bench import report
from lab.bench.audit import is_question, kinds_in
from lab.bench.bringup_tables import AT_TC, FIRST_APPLY, GOALS, Samples, tables
from lab.bench.model import Result, Table, TooNoisy

TABLE = Table("Sizes", ("command", "seconds"), [("check", "0.25"), ("second apply", "11.00")])


def results(is_noisy: bool = False) -> dict[str, Result]:
    return {"bringup": Result({"seconds": 1}, [TABLE], ("How it was done.",), is_noisy)}


def test_text_is_aligned() -> None:
    """Words to the left and numbers to the right."""
    assert report.text(results(), "a machine") == (
        "Sizes\ncommand       seconds\ncheck            0.25\nsecond apply    11.00\n\nHow it was done.\n\na machine\n"
    )


def test_markdown() -> None:
    """As README shows it."""
    assert report.markdown(results(), "a machine").splitlines()[:6] == [
        "**Sizes**",
        "",
        "| command | seconds |",
        "| --- | ---: |",
        "| check | 0.25 |",
        "| second apply | 11.00 |",
    ]


@pytest.mark.parametrize("draw", [report.text, report.markdown])
def test_noisy_report_says_so_first(draw: object) -> None:
    """Nobody must take its figures for good ones."""
    assert callable(draw)
    assert draw(results(is_noisy=True), "a machine").startswith("NOISY: ")


def test_document() -> None:
    """One JSON document with its origin."""
    found = json.loads(report.document(results(), {"kernel": "6.1"}))
    assert found == {"version": 1, "from": {"kernel": "6.1"}, "groups": {"bringup": {"seconds": 1}}}


def samples() -> Samples:
    found: Samples = defaultdict(list)
    for size in (100, 300, 1000):
        at_tc = (f"{what}{AT_TC}" for what in ("apply", "second apply", "destroy"))
        for what in (*GOALS, *at_tc, "plan when loaded, offline", "plan when loaded", "ip -batch"):
            found[size, what] = [size / 1000, size / 500]
    for what in ("check", "plan --offline", "apply", "second apply", "change of one route", "destroy"):
        found[0, what] = [1.0]
    return found


def test_tables_of_bringup() -> None:
    """Medians, growth between the sizes, and what the second apply wrote beside what the first one did."""
    memory = dict.fromkeys(samples(), 100 << 20)
    ratios = {100: [2.0, 3.0], 300: [2.0, 2.0], 1000: [1.0, 2.0]}
    writes = {1000: {}, 0: {}, FIRST_APPLY: {"files": 1500, "mount": 200}}
    commands, growth, beside, routes, written = tables(samples(), samples(), memory, ratios, writes)
    assert commands.rows[0] == ("check", "1.50", "1.25 to 1.75", "< 1", "100")
    (at_tc,) = [row for row in commands.rows if row[0] == "second apply at tc"]
    assert at_tc[3] == "< 1.5"
    assert growth.columns == ("command", "100", "300", "1,000", "100 to 300", "300 to 1,000")
    assert growth.rows[0] == ("check", "0.15", "0.45", "1.50", "1.50", "1.50")
    assert beside.rows[0] == ("100", "0.15", "0.15", "2.50", "2.25 to 2.75")
    assert len(routes.rows) == 6
    assert [row[1] for row in written.rows] == ["1,700", "0", "0"]


def test_refusal_is_said_and_exits_with_its_own_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Too noisy: no table, no file's worth of figures, and a code that a script can tell from a failure."""

    class Noisy:
        TITLE = "noise"
        ROUNDS = 5

        @staticmethod
        def measure(_: object) -> Result:
            raise TooNoisy("the machine is too noisy to report anything")

    monkeypatch.setattr(command, "GROUPS", {"noise": Noisy})
    monkeypatch.setattr(command.os, "geteuid", lambda: 0)
    monkeypatch.setattr("sys.argv", ["bench", "--quick"])
    assert command.main() == command.EXIT_NOISY == 3
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "too noisy" in shown.err


def test_what_is_a_question_to_the_kernel() -> None:
    """RTM_GETLINK and RTM_GETROUTE ask; RTM_NEWLINK, RTM_DELROUTE and RTM_SETLINK do not; nor does NLMSG_ERROR."""
    assert [is_question(kind) for kind in (18, 26, 16, 25, 19, 2)] == [True, True, False, False, False, False]
    assert [is_question(10 << 8 | kind) for kind in (0, 1, 2, 9, 10)] == [False, True, False, False, True]


def test_messages_of_one_send_are_told_apart() -> None:
    """Each by its own length, rounded up to four bytes."""
    first = (17).to_bytes(4, "little") + (16).to_bytes(2, "little") + bytes(11 + 3)
    second = (16).to_bytes(4, "little") + (18).to_bytes(2, "little") + bytes(10)
    assert list(kinds_in(first + second)) == [16, 18]
