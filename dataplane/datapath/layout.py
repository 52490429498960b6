"""How the bytes of a map lie, as both sides see them: our ctypes here, bcc's view of the C in the compiling process.

Pure. One ABI, compared by a machine when a program is compiled, and against the kernel's sizes when it is adopted
(bcc takes keys of a wrong size in silence).
"""

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Layout = list[list[Any]]
"""``[name, offset, size]`` of each field, in bytes; one nameless field for a plain number."""


@dataclass(frozen=True, slots=True)
class MapSpec:
    """One map of a program.

    Args:
        key: the ctypes type of its keys.
        value: of its values; of a per-CPU map, of the value of one CPU.
        flags: as it is made with (``BPF_F_*``).
    """

    key: type[Any]
    value: type[Any]
    flags: int = 0

    @property
    def layouts(self) -> dict[str, Layout]:
        """What the compiling process has to find in the C."""
        return {"key": layout_of(self.key), "value": layout_of(self.value)}

    @property
    def sizes(self) -> tuple[int, int]:
        """The bytes of a key and of a value, as the kernel records them."""
        return ctypes.sizeof(self.key), ctypes.sizeof(self.value)


def layout_of(kind: type[Any]) -> Layout:
    """The fields of a ctypes type."""
    fields = getattr(kind, "_fields_", None)
    if fields is None:
        return [["", 0, ctypes.sizeof(kind)]]
    return [[field[0], getattr(kind, field[0]).offset, getattr(kind, field[0]).size] for field in fields]


def layouts_of(maps: Mapping[str, MapSpec]) -> dict[str, dict[str, Layout]]:
    """The layouts of all maps of a program, by name."""
    return {name: spec.layouts for name, spec in maps.items()}
