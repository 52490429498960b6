"""One document on stdout, in three forms that say the same; colours for terminals only."""

import json
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from dataplane.cli import output
from dataplane.cli.output import Table, count, emit, note, output_option

DOCUMENT = {"count": 2, "where": Path("/etc/dataplane"), "items": [{"id": "web", "is_up": True}], "name": "办公室"}


@click.command()
@output_option
def show(output: str) -> None:
    emit(DOCUMENT, output, lambda: ["two things", Table(("id", "state"), [("web", "Active"), ("a", "Missing")])])
    note("beside")


def run(*arguments: str, color: bool = False) -> tuple[str, str]:
    result = CliRunner().invoke(show, arguments, color=color, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout, result.stderr


def test_json_and_yaml_say_the_same_with_a_version_first_and_numbers_as_numbers() -> None:
    from_json = json.loads(run("-o", "json")[0])
    assert from_json == yaml.safe_load(run("-o", "yaml")[0])
    assert next(iter(from_json)) == "version"
    assert from_json == {
        "version": 1,
        "count": 2,
        "where": "/etc/dataplane",
        "items": [{"id": "web", "is_up": True}],
        "name": "办公室",
    }


@pytest.mark.parametrize("form", output.FORMATS)
def test_what_is_said_beside_the_document_goes_to_stderr(form: str) -> None:
    stdout, stderr = run("-o", form)
    assert "beside" not in stdout
    assert stderr == "beside\n"


def test_a_table_has_aligned_columns_without_colours_when_piped() -> None:
    assert run()[0].splitlines() == ["two things", "ID   STATE", "web  Active", "a    Missing"]


def test_states_are_coloured_where_colours_are_wanted() -> None:
    stdout, _ = run(color=True)
    assert click.style("Active", fg="green") in stdout
    assert click.style("Missing", fg="red") in stdout


def test_wide_characters_take_two_columns() -> None:
    lines = output._draw(Table(("name", "x"), [("办公室", "1"), ("office", "2")]))
    assert lines == ["NAME    X", "办公室  1", "office  2"]


def test_a_row_that_is_too_short_is_a_defect_that_shows() -> None:
    with pytest.raises(ValueError, match="zip"):
        output._draw(Table(("a", "b"), [("only one",)]))


@pytest.mark.parametrize(("number", "text"), [(0, "0 routes"), (1, "1 route"), (1200, "1,200 routes")])
def test_counts_are_words(number: int, text: str) -> None:
    assert count(number, "route") == text
    assert count(2, "entry", "entries") == "2 entries"


@pytest.mark.parametrize(("value", "wanted"), [("", None), ("1", False)])
def test_no_color_is_heeded(value: str, wanted: bool | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TERM", raising=False)
    monkeypatch.setenv("NO_COLOR", value)
    assert output.is_colour_wanted() is wanted


def test_a_dumb_terminal_gets_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "dumb")
    assert output.is_colour_wanted() is False
