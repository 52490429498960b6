"""What the wheel and the Debian package are made of, without building them: tests/systemd/test_package.py does."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from dataplane import __version__, errors
from dataplane.cli.main import INTERRUPTED, cli

ROOT = Path(__file__).resolve().parents[2]
PACKAGING = ROOT / "scripts" / "packaging"


def _page() -> str:
    done = subprocess.run(
        [sys.executable, PACKAGING / "man.py"], cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _commands(group: click.Group, path: str = "dataplane") -> list[str]:
    context = click.Context(group, info_name=path)
    found = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None and not command.hidden:
            found.append(f"{path} {name}")
            found += _commands(command, f"{path} {name}") if isinstance(command, click.Group) else []
    return found


def test_the_man_page_has_every_command_and_exit_code() -> None:
    page = _page()
    assert page.startswith(f'.TH DATAPLANE 1 "" "dataplane {__version__}"')
    sections = [line.removeprefix(".SS ").replace("\\-", "-") for line in page.splitlines() if line.startswith(".SS")]
    commands = _commands(cli)
    assert len(commands) > 20
    assert [command for command in commands if not any(one.startswith(f"{command} ") for one in sections)] == []
    codes = {int(code) for code in re.findall(r"^\.B (\d+)$", page, re.MULTILINE)}
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "exit_code")]
    assert codes == {0, 2, 3, INTERRUPTED, *(kind.exit_code for kind in kinds)}
    assert "lab up vpc\\-peering" in page


def test_troff_has_nothing_to_say_against_the_page() -> None:
    if shutil.which("groff") is None:
        pytest.skip("the package groff is not installed")
    command = ["groff", "-man", "-Tutf8", "-ww", "-z"]
    done = subprocess.run(command, input=_page(), capture_output=True, text=True)
    # Examples are printed as they are, however wide the terminal.
    said = [line for line in done.stderr.splitlines() if "cannot adjust" not in line and "break" not in line]
    assert (done.returncode, said) == (0, [])
    spoilt = subprocess.run(command, input=".TH X 1\n.SHH NAME\n", capture_output=True, text=True)
    assert spoilt.stderr


def test_the_wheel_is_told_of_every_file() -> None:
    """Whoever puts a file beside the code that is no Python says so in pyproject.toml, or the wheel has it not."""
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    told = {path for package, globs in data.items() for glob in globs for path in (ROOT / package).glob(glob)}
    beside = {
        path
        for package in ("dataplane", "ebpf", "lab")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix not in (".py", ".md", ".pyc")
    }
    assert beside - told == set()
    assert ROOT / "ebpf/datapath.c" in beside


@pytest.mark.parametrize("name", ["postinst", "prerm", "postrm"])
def test_maintainer_scripts_are_shell(name: str) -> None:
    script = PACKAGING / name
    assert script.read_text().startswith("#!/bin/sh\n")
    done = subprocess.run(["sh", "-n", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_no_maintainer_script_touches_the_network() -> None:
    """A removal leaves it standing, as scripts/uninstall does: none of them destroys, or empties what is pinned."""
    text = "".join((PACKAGING / name).read_text() for name in ("postinst", "prerm", "postrm"))
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    assert not re.search(r"destroy|/run/dataplane|netns|ip link", code)
