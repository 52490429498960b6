"""Bytecode that is kept: it comes back as it was, or not at all."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from dataplane.datapath import build, cache, compiled
from dataplane.datapath.compiled import Compiled, MapShape

MOV = bytes([0xB7, 0, 0, 0, 0, 0, 0, 0])
"""r0 = 0: the same bytes as a map's place, in an instruction that names none."""


def load_map(number: int, source: int = 1) -> bytes:
    """The two halves of the instruction that loads a map's address (or, of another source, a plain number)."""
    return bytes([0x18, source << 4 | 1, 0, 0]) + number.to_bytes(4, "little") + bytes(8)


PROGRAM = Compiled(
    {"dp_a": MOV + load_map(1) + load_map(0), "dp_b": MOV},
    {"dp_x": MapShape(2, 4, 8, 16, 0), "dp_y": MapShape(11, 12, 4, 1024, 1)},
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = tmp_path / "cache" / "programs"
    monkeypatch.setattr(cache, "FOLDER", found)
    return found


def test_what_was_kept_comes_back(folder: Path) -> None:
    assert cache.find("vlan-1") is None
    cache.keep("vlan-1", PROGRAM)
    assert cache.find("vlan-1") == PROGRAM
    assert cache.find("vlan-2") is None
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in folder.iterdir()] == ["vlan-1.json"]


def test_a_damaged_file_counts_as_lost(folder: Path) -> None:
    """Cut anywhere, or one bit turned anywhere: the sum does not fit, or it is no JSON."""
    cache.keep("vlan-1", PROGRAM)
    path = folder / "vlan-1.json"
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert cache.find("vlan-1") is None, length
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 7]) + whole[place + 1 :])
        assert cache.find("vlan-1") in (None, PROGRAM), place  # a space more or less is the same text
    path.write_bytes(whole)
    assert cache.find("vlan-1") == PROGRAM


def test_another_version_of_the_form_counts_as_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    cache.keep("vlan-1", PROGRAM)
    monkeypatch.setattr(compiled, "_VERSION", 2)
    assert cache.find("vlan-1") is None


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_what_others_may_write_is_not_trusted(folder: Path, mode: int) -> None:
    cache.keep("vlan-1", PROGRAM)
    (folder / "vlan-1.json").chmod(mode)
    assert cache.find("vlan-1") is None
    (folder / "vlan-1.json").chmod(0o600)
    folder.chmod(0o700 | mode & 0o77)
    assert cache.find("vlan-1") is None
    cache.keep("vlan-2", PROGRAM)
    folder.chmod(0o700)
    assert [path.name for path in folder.iterdir()] == ["vlan-1.json"]


def test_of_another_user_or_behind_a_link_it_is_not_trusted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.keep("vlan-1", PROGRAM)
    (folder / "vlan-2.json").symlink_to(folder / "vlan-1.json")
    assert cache.find("vlan-2") is None
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    assert cache.find("vlan-1") is None


def test_a_disk_that_takes_nothing_is_no_failure(folder: Path) -> None:
    folder.parent.parent.joinpath("cache").write_text("a file in the way")
    cache.keep("vlan-1", PROGRAM)
    assert cache.find("vlan-1") is None


def test_what_was_used_last_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_MOST", 3)
    for number in range(3):
        cache.keep(f"vlan-{number}", PROGRAM)
        os.utime(folder / f"vlan-{number}.json", (number, number))
    assert cache.find("vlan-0") is not None
    cache.keep("vlan-3", PROGRAM)
    assert sorted(path.stem for path in folder.iterdir()) == ["vlan-0", "vlan-2", "vlan-3"]


def test_maps_are_named_by_place_on_the_way() -> None:
    """And nothing else is touched: neither other instructions, nor numbers that are no map."""
    code = MOV + load_map(41) + load_map(40) + load_map(41, source=0) + load_map(40, source=2)
    placed = build.by_place(code, {40: 0, 41: 1})
    assert placed == MOV + load_map(1) + load_map(0) + load_map(41, source=0) + load_map(40, source=2)
    assert compiled._with_maps(placed, [40, 41]) == code


def test_an_answer_that_is_none_is_refused() -> None:
    assert Compiled.of_text(PROGRAM.text()) == PROGRAM
    for answer in ({}, {"programs": {}}, {"programs": {"a": "?"}, "maps": {}}, {"programs": {}, "maps": {"x": [1]}}):
        with pytest.raises(ValueError, match="no compiled program"):
            Compiled.of_answer(answer)
    assert replace(PROGRAM, programs={}) != PROGRAM
