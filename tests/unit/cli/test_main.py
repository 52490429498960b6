"""The frame of the command line: exit codes, errors as sentences, and nothing imported before it is needed."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from dataplane import __version__
from dataplane.cli import main as main_module
from dataplane.cli.main import COMMANDS, Entry, cli
from dataplane.errors import (
    AgentUnreachable,
    BugError,
    ConfigError,
    ConflictError,
    DataplaneError,
    HostError,
    PermissionDenied,
)

ROOT = Path(__file__).resolve().parents[3]
HEAVY = ("pydantic", "pyroute2", "rich", "yaml", "bcc", "sqlite3", "json")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], Result]:
    """Runs a made-up command that raises."""

    def invoke(failure: BaseException) -> Result:
        @click.command()
        def fail() -> None:
            raise failure

        monkeypatch.setattr(main_module, "fail", fail, raising=False)
        monkeypatch.setattr(main_module, "COMMANDS", {"fail": Entry("dataplane.cli.main:fail", "Fails.")})
        return run("fail")

    return invoke


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (DataplaneError("no"), 1),
        (HostError("no"), 1),
        (ConflictError("no"), 1),
        (ConfigError("no"), 4),
        (AgentUnreachable("no"), 5),
        (PermissionDenied("no"), 6),
    ],
)
def test_an_error_is_one_sentence_and_its_exit_code(failing, failure: DataplaneError, code: int) -> None:
    result = failing(failure)
    assert (result.exit_code, result.stdout, result.stderr) == (code, "", "error: no\n")


def test_a_full_disk_under_stdout_is_no_bug() -> None:
    """``dataplane schema > /dev/full``, a real process: the interpreter's own complaint on its way out counts too."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "dataplane", "schema"], cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert done.stderr == "error: cannot write: No space left on device; make room, or write somewhere else.\n"


@pytest.mark.parametrize("failure", [BugError("two owners"), KeyError("vpc-a")])
def test_a_bug_says_so_and_leaves_its_traceback_in_a_file(failing, failure: Exception, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    result = failing(failure)
    (file,) = tmp_path.iterdir()
    assert result.exit_code == 1
    assert "this is a bug in dataplane" in result.stderr
    assert "Traceback" not in result.stderr
    assert str(file) in result.stderr
    assert type(failure).__name__ in file.read_text()


@pytest.mark.parametrize("failure", [BugError("two owners"), ConfigError("no")])
def test_dataplane_debug_shows_the_traceback(failing, failure: Exception, monkeypatch) -> None:
    monkeypatch.setenv("DATAPLANE_DEBUG", "1")
    assert "Traceback" in failing(failure).stderr


def test_control_c_is_130(failing) -> None:
    result = failing(KeyboardInterrupt())
    assert result.exit_code == 130
    assert result.stderr.endswith("interrupted\n")


@pytest.mark.parametrize("arguments", [("nonsense",), ("--nonsense",), ("check", "-o", "xml"), ("completion", "tcsh")])
def test_wrong_use_is_2_with_the_way_to_the_help(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "--help`" in result.stderr
    assert "error: " in result.stderr


def test_a_near_miss_is_suggested() -> None:
    assert "Did you mean status?" in run("statsu").stderr
    assert "Did you mean" not in run("xyzzy").stderr


def test_the_version() -> None:
    assert run("--version").stdout == f"dataplane {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_has_help_with_examples(name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0, result.output
    assert "Examples:" in result.stdout


def test_the_help_lists_every_command() -> None:
    text = run("--help").stdout
    assert [name for name in COMMANDS if f"\n  {name} " not in text] == []


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=False)


PRINT_HEAVY = f"print(sorted(set(sys.modules) & set({HEAVY!r})), file=sys.stderr)"


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_start_up_imports_nothing_heavy(argument: str) -> None:
    code = f"""
import atexit, sys
from dataplane.cli.main import main
sys.argv = ["dataplane", "{argument}"]
atexit.register(lambda: {PRINT_HEAVY})
main()
"""
    result = python(code)
    assert result.returncode == 0
    assert result.stderr == "[]\n"


def test_the_start_up_check_sees_a_heavy_import() -> None:
    assert python(f"import sys, dataplane.cli.main, yaml; {PRINT_HEAVY}").stderr == "['yaml']\n"


def test_completion_of_commands_imports_none_of_them() -> None:
    code = (
        "import sys, atexit\n"
        "from dataplane.cli.main import main\n"
        "atexit.register(lambda: print([m for m in sys.modules if m.startswith('dataplane.cli.c')], file=sys.stderr))\n"
        "main()\n"
    )
    result = python(code, _DATAPLANE_COMPLETE="bash_complete", COMP_WORDS="dataplane ch", COMP_CWORD="1")
    assert result.stdout.split() == ["plain,check"]
    assert result.stderr == "['dataplane.cli.context']\n"


def test_a_closed_pipe_is_quiet() -> None:
    command = f"{sys.executable} -m dataplane schema | true"
    result = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_asks_us(shell: str) -> None:
    result = run("completion", shell)
    assert result.exit_code == 0
    assert "_DATAPLANE_COMPLETE" in result.stdout


@pytest.mark.parametrize(
    "command", [["plan"], ["apply"], ["destroy"], ["status"], ["exec", "web"], ["confirm"], ["drill", "x"], ["events"]]
)
def test_without_root_one_sentence_and_6(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    result = run(*command)
    assert result.exit_code == 6
    assert result.stdout == ""
    assert result.stderr.startswith(f"error: `dataplane {command[0]}` ")
    assert "run it with sudo" in result.stderr
    assert result.stderr.count("\n") == 1
