"""`accept` and `lab accept` before they measure, and after they were interrupted; what they measure is tests/lab's."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dataplane.cli import lab_accept
from dataplane.cli.main import cli
from dataplane.errors import HostError
from lab import runner, topology
from lab.acceptance import Run


@pytest.mark.parametrize("option", ["--html", "--junit"])
@pytest.mark.parametrize("command", [("accept", "--server", "10.3.1.10"), ("lab", "accept", "standby-circuits")])
def test_a_report_that_cannot_be_written_is_refused_before_anything_is_measured(
    command: tuple[str, ...], option: str, tmp_path: Path
) -> None:
    done = CliRunner().invoke(cli, [*command, option, str(tmp_path / "nowhere/report")], standalone_mode=False)
    assert f"there is no folder {tmp_path}/nowhere" in str(done.exception)


def test_a_lab_that_was_up_is_as_it_was_where_a_comparison_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    hooks: list[str | None] = []

    def up(wanted: object, say: object, hook: str | None) -> bool:
        hooks.append(hook)
        return False

    def run(planned: Run) -> Any:
        if planned.hook == "off":
            raise HostError("no iperf3")

    wanted: Any = None
    monkeypatch.setattr(lab_accept, "need_root", lambda *_: None)
    monkeypatch.setattr(lab_accept, "_plan", lambda *_: Run(wanted, (), "", (), ()))
    monkeypatch.setattr(lab_accept, "_run", run)
    monkeypatch.setattr(topology, "load", lambda _: wanted)
    monkeypatch.setattr(runner, "up", up)
    done = CliRunner().invoke(cli, ["lab", "accept", "any", "--compare"], standalone_mode=False)
    assert isinstance(done.exception, HostError)
    assert hooks == [None, "off", None]
