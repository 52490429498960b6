"""The C of the VLAN stand-in and its mirror in Python say the same; no compiler and no root needed."""

import ctypes
import re

import pytest

from dataplane.datapath import build, loader
from dataplane.datapath.layout import MapSpec, layout_of
from dataplane.datapath.vlan import SPEC, Line, Reason

SOURCE = SPEC.source


def reasons(source: str) -> dict[str, int]:
    """The reasons of the C, without the one that counts them."""
    found = re.findall(r"DP_VLAN_(\w+) = (\d+),", source)
    return {name: int(number) for name, number in found if name != "REASONS"}


def test_reasons_agree() -> None:
    """Name by name, and the counter has a place for each."""
    assert reasons(SOURCE) == {reason.name: reason.value for reason in Reason}
    assert f"DP_VLAN_REASONS = {len(Reason)}," in SOURCE


def test_a_reason_too_many_is_seen() -> None:
    changed = SOURCE.replace("DP_VLAN_REASONS = ", "DP_VLAN_NEW = 99,\n    DP_VLAN_REASONS = ")
    assert reasons(changed) != {reason.name: reason.value for reason in Reason}


def test_every_function_and_map_of_the_source_is_pinned() -> None:
    """What is not pinned is gone with the compiling process."""
    assert set(re.findall(r"^int (\w+)\(struct __sk_buff", SOURCE, re.M)) == set(SPEC.programs)
    declared = re.findall(r"^BPF_(?:F_TABLE\(.*, |PERCPU_ARRAY\()(dp_\w+), (?:4096|__u64)", SOURCE, re.M)
    assert set(declared) == set(SPEC.maps)


def test_names_fit() -> None:
    """The kernel keeps 15 characters of a name (glossary)."""
    assert all(len(name) <= 15 for name in (*SPEC.programs, *SPEC.maps))


def test_line_is_packed_as_the_struct() -> None:
    """u32 parent, u16 vlan, u16 zero, all of the host's byte order."""
    line = Line(0x01020304, 1000)
    assert line.pack() == bytes(ctypes.c_uint32(0x01020304)) + bytes(ctypes.c_uint16(1000)) + b"\0\0"
    assert Line.unpack(line.pack()) == line


def test_the_fingerprint_covers_all_that_the_program_is_made_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Source, header of ours, layouts, functions."""
    seen = {SPEC.fingerprint}
    seen.add(loader.ProgramSpec("vlan", SPEC.programs[:1], SPEC.maps).fingerprint)
    wider = {**SPEC.maps, "dp_vlan": MapSpec(ctypes.c_uint64, ctypes.c_uint32)}
    seen.add(loader.ProgramSpec("vlan", SPEC.programs, wider).fingerprint)
    monkeypatch.setattr(loader.headers, "text", lambda: "/* another */")
    seen.add(SPEC.fingerprint)
    monkeypatch.undo()
    monkeypatch.setattr(loader.ProgramSpec, "source", property(lambda _: SOURCE + " "))
    seen.add(SPEC.fingerprint)
    assert len(seen) == 5


class _Pair(ctypes.Structure):
    _fields_ = (("first", ctypes.c_uint32), ("second", ctypes.c_uint16), ("zero", ctypes.c_uint16))


class _Table:
    """A map as bcc shows it."""

    def __init__(self, key: type, leaf: type) -> None:
        self.Key, self.Leaf = key, leaf


def test_both_sides_describe_a_type_alike() -> None:
    """The compiling process has a copy of its own, since it imports nothing of ours."""
    for kind in (_Pair, ctypes.c_uint32, ctypes.c_uint64):
        assert build.layout_of(kind) == layout_of(kind)
    assert layout_of(_Pair) == [["first", 0, 4], ["second", 4, 2], ["zero", 6, 2]]


def test_a_different_layout_is_found() -> None:
    """Another offset, another size, another name; a per-CPU value counts as one of its elements."""
    wanted = {"dp_x": MapSpec(_Pair, ctypes.c_uint64).layouts}

    class Swapped(ctypes.Structure):
        _fields_ = (("second", ctypes.c_uint16), ("zero", ctypes.c_uint16), ("first", ctypes.c_uint32))

    assert build.difference({"dp_x": _Table(_Pair, ctypes.c_uint64)}, wanted) == ""
    assert build.difference({"dp_x": _Table(_Pair, ctypes.c_uint64 * 4)}, wanted) == ""
    assert "the key of map dp_x" in build.difference({"dp_x": _Table(Swapped, ctypes.c_uint64)}, wanted)
    assert "the value of map dp_x" in build.difference({"dp_x": _Table(_Pair, ctypes.c_uint32)}, wanted)
