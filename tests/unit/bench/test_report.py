"""Reports: what people and programs get, every verdict, and that a noisy row never passes."""

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from lab.bench import __main__ as command
from lab.bench import plots, quiet, report
from lab.bench.audit import is_question, kinds_in
from lab.bench.bringup_tables import AT_TC, FIRST_APPLY, GOALS, Samples, tables
from lab.bench.model import BenchError, Context, Plain, Result, Table
from lab.bench.row import Kind, Row, Verdict, in_order, size_word

TABLE = Table("Sizes", ("command", "seconds"), [("check", "0.25"), ("second apply", "11.00")])
ROW = Row("T1/1k", "packets, at 1k", "Linux", (5.0, 6.0, 7.0), 5, note="a note", twins=(1.0, 1.02), size=1000)
"""Its quartiles are 5.5, 6 and 6.5."""
RESULTS = {"bringup": Result({"seconds": 1}, [TABLE], ("How it was done.",))}


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (ROW, Verdict.PASS),
        (replace(ROW, target=5.5), Verdict.PASS),
        (replace(ROW, target=5.6), Verdict.FAIL),
        (replace(ROW, is_at_most=True, target=6.5), Verdict.PASS),
        (replace(ROW, is_at_most=True, target=6.4), Verdict.FAIL),
        (replace(ROW, target=None), Verdict.SHOWN),
        (replace(ROW, twins=(1.06, 1.07)), Verdict.NOISY),
        (replace(ROW, twins=(1.06, 1.07), kind=Kind.END_TO_END), Verdict.PASS),
        (replace(ROW, twins=(0.8, 0.8), kind=Kind.END_TO_END), Verdict.NOISY),
        (replace(ROW, twins=(0.8, 0.8), kind=Kind.COUNTED), Verdict.PASS),
        (replace(ROW, twins=(1.06, 1.07), target=None), Verdict.NOISY),
        (replace(ROW, ratios=()), Verdict.NOISY),
    ],
)
def test_verdicts(row: Row, verdict: Verdict) -> None:
    """The worse quartile decides, never the median; and what was measured in noise is neither good nor bad."""
    assert row.verdict is verdict


def test_text_is_aligned() -> None:
    """Words to the left and numbers to the right; what lies behind the rows comes after them."""
    row = replace(ROW, is_at_most=True, unit="ms", note="")
    assert report.text([row], RESULTS, {"flip": "no ip"}, "a machine") == (
        "The speed table\n"
        "row    measure         ours / peer    p25 to p75  target  verdict  peer\n"
        "T1/1k  packets, at 1k      6.00 ms  5.50 to 6.50    <= 5  fail     Linux\n\n\n"
        "flip failed: no ip\n\n"
        "Sizes\ncommand       seconds\ncheck            0.25\nsecond apply    11.00\n\nHow it was done.\n\na machine\n"
    )


def test_markdown() -> None:
    """As README shows it."""
    assert report.markdown([ROW], RESULTS, {}, "a machine").splitlines()[:6] == [
        "**The speed table**",
        "",
        "| row | measure | ours / peer | p25 to p75 | target | verdict | peer |",
        "| --- | --- | ---: | ---: | ---: | --- | --- |",
        "| T1/1k | packets, at 1k | 6.00 x | 5.50 to 6.50 | >= 5 | pass | Linux |",
        "",
    ]


@pytest.mark.parametrize("draw", [report.text, report.markdown])
def test_noisy_report_says_so_first(draw: object) -> None:
    """Nobody must take its figures for good ones."""
    assert callable(draw)
    assert draw([ROW, replace(ROW, twins=(2.0,))], RESULTS, {}, "a machine").startswith("NOISY: ")
    assert "NOISY" not in draw([ROW], RESULTS, {}, "a machine")


def test_document() -> None:
    """One JSON document with its origin; of each row what the issue asks for."""
    found = json.loads(report.document([ROW], RESULTS, {"kernel": "6.1"}, {}))
    assert found["from"] == {"kernel": "6.1"}
    assert found["groups"] == {"bringup": {"seconds": 1}}
    (row,) = found["rows"]
    assert {name: row[name] for name in ("id", "ratio_median", "ratio_p25", "target", "verdict")} == {
        "id": "T1/1k",
        "ratio_median": 6.0,
        "ratio_p25": 5.5,
        "target": 5,
        "verdict": "pass",
    }
    (unmeasured,) = json.loads(report.document([replace(ROW, ratios=())], {}, {}, {}))["rows"]
    assert (unmeasured["ratio_median"], unmeasured["verdict"]) == (None, "noisy")


def test_order_and_sizes() -> None:
    """T1, T1b, T2, T10: by the number, not by the letters."""
    ids = ["T10/2", "T2/1k", "T1b/tc", "T1/1k"]
    assert [row.id for row in in_order([replace(ROW, id=id_) for id_ in ids])] == ids[::-1]
    assert [size_word(size) for size in (1, 300, 1_000, 100_000, 1_000_000)] == ["1", "300", "1k", "100k", "1M"]


def test_plots(tmp_path: Path) -> None:
    """One file for each target with two sizes; what stands alone, or was not measured, is no line."""
    points = [replace(ROW, id=f"T1/{size}", size=size) for size in (10_000, 1_000)]
    others = [
        replace(ROW, id="T2/1k"),
        replace(ROW, id="T1b/tc", size=None),
        replace(ROW, id="T1/5", ratios=(), size=5),
    ]
    assert {target: list(of) for target, of in plots.lines([*points, *others]).items()} == {"T1": [""]}
    assert [row.size for row in plots.lines(points)["T1"][""]] == [1_000, 10_000]
    pytest.importorskip("matplotlib", reason="the extra `bench` of pyproject.toml is not installed")
    (file,) = plots.draw([*points, *others], tmp_path / "plots", "a machine")
    assert file.name == "T1.svg"
    assert "<svg" in file.read_text(encoding="utf-8")


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


class Measured:
    """A group of two rows; whether it measured, and what it was asked for."""

    def __init__(self, failure: str = "") -> None:
        self.calls: list[Context] = []
        self.failure = failure
        self.TITLE, self.ROUNDS, self.QUICK_ROUNDS = "a group", 5, 2
        self.ROWS = {"T1": Kind.KERNEL, "T10": Kind.COUNTED}

    def measure(self, context: Context) -> Result:
        self.calls.append(context)
        if self.failure:
            raise BenchError(self.failure)
        return Result({}, (), (), [replace(ROW, twins=()), replace(ROW, id="T10/2", kind=Kind.COUNTED)])


def run(monkeypatch: pytest.MonkeyPatch, group: object, twins: float, *words: str) -> int:
    """The command with one group, on a machine where the same thing measured twice differs by a factor."""
    monkeypatch.setattr(command, "GROUPS", {"group": group, "other": Plain("nothing", {"T5": Kind.COUNTED}, no_rows)})
    monkeypatch.setattr(quiet, "look", lambda kind, _: [twins] if kind.value else [])
    monkeypatch.setattr(command.os, "geteuid", lambda: 0)
    monkeypatch.setattr("sys.argv", ["bench", *words])
    return command.main()


def no_rows(rounds: int, is_quick: bool) -> list[Row]:
    """A plain group."""
    return []


def test_noisy_rows_are_not_measured(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """They say so, and the exit code too; rows without a clock are measured all the same."""
    group = Measured()
    assert run(monkeypatch, group, 1.5, "group") == command.EXIT_NOISY == 3
    assert [context.wanted for context in group.calls] == [{"T10"}]
    shown = capsys.readouterr().out
    assert [line.split()[0] for line in shown.splitlines() if " noisy" in line and line[0] == "T"] == ["T1"]
    assert "T10/2" in shown


def test_forced_rows_are_measured_and_marked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """With figures, and never with a pass."""
    assert run(monkeypatch, Measured(), 1.5, "T1", "--force", "--json", str(tmp_path / "found.json")) == 3
    (row,) = json.loads((tmp_path / "found.json").read_text())["rows"]
    assert (row["id"], row["ratio_median"], row["verdict"]) == ("T1/1k", 6.0, "noisy")
    assert "NOISY" in capsys.readouterr().out


def test_a_quiet_machine(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows are chosen by name, in any case; a quick look has fewer rounds."""
    group = Measured()
    assert run(monkeypatch, group, 1.0, "t1", "--quick") == 0
    assert [(context.rounds, context.is_quick, context.wanted) for context in group.calls] == [(2, True, {"T1"})]
    assert "T10" not in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        run(monkeypatch, group, 1.0, "T99")
    assert stop.value.code == 2
    assert "there is no row T99; there are: T1, T5, T10; groups: group, other" in capsys.readouterr().err


def test_a_group_that_fails_does_not_take_others_along(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its failure is in the report, and in the exit code."""
    assert run(monkeypatch, Measured("no iperf3"), 1.0) == command.EXIT_FAILED
    shown = capsys.readouterr()
    assert "group failed: no iperf3" in shown.out
    assert "other" not in shown.err


def test_every_target_has_a_group() -> None:
    """Once: or a row would be measured twice, or not at all."""
    found = [target for group in command.GROUPS.values() for target in group.ROWS]
    assert len(set(found)) == len(found)
    assert {"T1", "T1b", "T2", "T3", "T7", "T8", "T9", "T10", "T14", "T15", "T16"} <= set(found)


def test_what_is_a_question_to_the_kernel() -> None:
    """RTM_GETLINK and RTM_GETROUTE ask; RTM_NEWLINK, RTM_DELROUTE and RTM_SETLINK do not; nor does NLMSG_ERROR."""
    assert [is_question(kind) for kind in (18, 26, 16, 25, 19, 2)] == [True, True, False, False, False, False]
    assert [is_question(10 << 8 | kind) for kind in (0, 1, 2, 9, 10)] == [False, True, False, False, True]


def test_messages_of_one_send_are_told_apart() -> None:
    """Each by its own length, rounded up to four bytes."""
    first = (17).to_bytes(4, "little") + (16).to_bytes(2, "little") + bytes(11 + 3)
    second = (16).to_bytes(4, "little") + (18).to_bytes(2, "little") + bytes(10)
    assert list(kinds_in(first + second)) == [16, 18]
