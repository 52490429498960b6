"""A compiled program as bytes, and how the kernel gets it: maps made, bytecode told about them, all of it pinned.

Owns the form in which bytecode is passed on and kept (JSON with a sum over it). Must never compile anything.
"""

import base64
import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dataplane.datapath import libbpf
from dataplane.datapath.build import INSTRUCTION_BYTES, LOAD_64, MAP_BY_FD
from dataplane.errors import HostError

_VERSION = 1


@dataclass(frozen=True, slots=True)
class MapShape:
    """How a map is made.

    Args:
        type: the kernel's number of the kind (``enum bpf_map_type``).
        flags: ``BPF_F_*``.
    """

    type: int
    key_bytes: int
    value_bytes: int
    entries: int
    flags: int


@dataclass(frozen=True, slots=True)
class Compiled:
    """What came out of a compilation; the same bytes do on every kernel.

    Args:
        programs: function -> bytecode, in which a map is named by its place in ``maps``.
        maps: in that order.
    """

    programs: Mapping[str, bytes]
    maps: Mapping[str, MapShape]

    @classmethod
    def of_answer(cls, answer: Mapping[str, Mapping[str, object]]) -> "Compiled":
        """From the compiling process's answer, or from what was kept of it.

        Raises:
            ValueError: it is none.
        """
        try:
            programs = {name: base64.b64decode(str(code), validate=True) for name, code in answer["programs"].items()}
            maps = {name: MapShape(*map(int, shape)) for name, shape in answer["maps"].items()}  # type: ignore[call-overload]
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"no compiled program: {error}") from error
        return cls(programs, maps)

    def text(self) -> str:
        """The form in which it is kept; ``of_text`` reads it."""
        body = json.dumps(
            {
                "programs": {name: base64.b64encode(code).decode() for name, code in self.programs.items()},
                "maps": {
                    name: [shape.type, shape.key_bytes, shape.value_bytes, shape.entries, shape.flags]
                    for name, shape in self.maps.items()
                },
            }
        )
        return json.dumps({"version": _VERSION, "sha256": _sum(body), "body": body})

    @classmethod
    def of_text(cls, text: str) -> "Compiled":
        """What was kept.

        Raises:
            ValueError: it is damaged, or of another version.
        """
        kept = json.loads(text)
        match kept:
            case {"version": version, "sha256": wanted, "body": str(body)} if version == _VERSION and wanted == _sum(
                body
            ):
                return cls.of_answer(json.loads(body))
        raise ValueError("not a compiled program of this version")


def install(compiled: Compiled, types: Mapping[str, int], folder: Path, kept: Mapping[str, Path]) -> None:
    """Make the maps, load the programs, and pin both under their names.

    Args:
        types: function -> the kernel's number of the kind (``enum bpf_prog_type``).
        folder: an existing one of a BPF file system.
        kept: map -> pin of the one to go on with, instead of a new one.

    Raises:
        HostError: the kernel refuses a map or a program; with the verifier's last words.
    """
    with contextlib.ExitStack() as stack:
        fds = []
        for name, shape in compiled.maps.items():
            fd = libbpf.open_pinned(kept[name]) if name in kept else _make(name, shape)
            stack.callback(os.close, fd)
            fds.append(fd)
        for name, code in compiled.programs.items():
            fd = libbpf.load_program(types[name], name, _with_maps(code, fds))
            stack.callback(os.close, fd)
            libbpf.pin(fd, folder / name)
        for name, fd in zip(compiled.maps, fds, strict=True):
            libbpf.pin(fd, folder / name)


def _make(name: str, shape: MapShape) -> int:
    try:
        return libbpf.make_map(shape.type, name, shape.key_bytes, shape.value_bytes, shape.entries, shape.flags)
    except OSError as error:
        raise HostError(f"map {name} for {shape.entries:,} entries cannot be made: {error.strerror}") from error


def _with_maps(code: bytes, fds: list[int]) -> bytes:
    """Bytecode that names each map by the descriptor that it has here."""
    found = bytearray(code)
    for start in range(0, len(found), INSTRUCTION_BYTES):
        if found[start] == LOAD_64 and found[start + 1] >> 4 == MAP_BY_FD:
            place = int.from_bytes(found[start + 4 : start + 8], sys.byteorder)
            found[start + 4 : start + 8] = fds[place].to_bytes(4, sys.byteorder)
    return bytes(found)


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
