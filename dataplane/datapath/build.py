"""The compiling process: reads a request on stdin, compiles with bcc, answers with the bytecode, and is gone.

Runs under Debian's own python3, since bcc is a package of that one; so it imports nothing of ours. It lives as short
as it does because bcc never gives back what a compilation takes (125 MB). Never run inside the product's process. It
loads no program: that is done with the bytecode, by us (``machine_code.py``), whether it is fresh or was kept.

Request: ``text``, ``flags``, ``programs`` (names of functions), ``maps`` (name -> layouts of key and value). Answer:
``{"programs": name -> bytecode in base64, "maps": name -> [type, key bytes, value bytes, entries, flags]}``, where a
program names a map by its place in that list, or ``{"missing": ...}`` or ``{"error": ...}``, as JSON; what the compiler
says goes to stderr.
"""

import base64
import ctypes
import json
import os
import sys
from typing import Any

INSTRUCTION_BYTES = 8
LOAD_64 = 0x18
"""BPF_LD | BPF_DW | BPF_IMM, the one instruction of two halves; a map's address is loaded by it."""
MAP_BY_FD = 1
"""BPF_PSEUDO_MAP_FD, in place of its source register."""


def layout_of(kind: Any) -> list[list[Any]]:
    """The fields of one of bcc's types, as [name, offset, size]: the other side's view of ``layout.layout_of``."""
    fields = getattr(kind, "_fields_", None)
    if fields is None:
        return [["", 0, ctypes.sizeof(kind)]]
    return [[field[0], getattr(kind, field[0]).offset, getattr(kind, field[0]).size] for field in fields]


def difference(module: Any, maps: dict[str, dict[str, Any]]) -> str:
    """The first map whose keys or values lie otherwise in C than in Python, as a sentence; empty where none does."""
    for name, wanted in maps.items():
        try:
            table = module[name]
        except KeyError:
            return f"it has no map {name}"
        for part, declared in (("key", table.Key), ("value", table.Leaf)):
            # Of a per-CPU map bcc shows an array with one value per CPU.
            is_per_cpu = issubclass(declared, ctypes.Array)
            found = layout_of(declared._type_ if is_per_cpu else declared)
            if found != wanted[part]:
                return f"the {part} of map {name} is {found} in C and {wanted[part]} in Python"
    return ""


def made_as(module: Any, name: str) -> list[int]:
    """How a map is declared: type, key bytes, value bytes, entries, flags.

    Not as the kernel records it: that adds a flag to a device map which it takes from nobody.
    """
    from bcc.libbcc import lib

    number = lib.bpf_table_id(module.module, name.encode())
    sizes = (lib.bpf_table_key_size, lib.bpf_table_leaf_size)
    rest = (lib.bpf_table_max_entries_id, lib.bpf_table_flags_id)
    return [
        lib.bpf_table_type_id(module.module, number),
        *(size(module.module, name.encode()) for size in sizes),
        *(ask(module.module, number) for ask in rest),
    ]


def by_place(code: bytes, places: dict[int, int]) -> bytes:
    """Bytecode that names each map by its place instead of the descriptor that it has in this process.

    Args:
        places: descriptor -> place.
    """
    found = bytearray(code)
    for start in range(0, len(found), INSTRUCTION_BYTES):
        if found[start] == LOAD_64 and found[start + 1] >> 4 == MAP_BY_FD:
            fd = int.from_bytes(found[start + 4 : start + 8], sys.byteorder)
            found[start + 4 : start + 8] = places[fd].to_bytes(4, sys.byteorder)
    return bytes(found)


def build(request: dict[str, Any]) -> dict[str, Any]:
    """Compile, compare, take the bytecode out."""
    try:
        from bcc import BPF
    except ImportError as error:
        return {"missing": str(error)}
    module = BPF(text=request["text"], cflags=request["flags"])
    problem = difference(module, request["maps"])
    if problem:
        return {"error": problem}
    places = {module[name].map_fd: place for place, name in enumerate(request["maps"])}
    codes = {name: by_place(module.dump_func(name), places) for name in request["programs"]}
    return {
        "programs": {name: base64.b64encode(code).decode() for name, code in codes.items()},
        "maps": {name: made_as(module, name) for name in request["maps"]},
    }


def main() -> None:
    """One request, one answer."""
    request = json.load(sys.stdin)
    answer_fd = os.dup(1)
    os.dup2(2, 1)  # bcc prints to stdout, which is for the answer
    try:
        answer = build(request)
    except Exception as error:  # bcc raises bare Exceptions, so that no narrower net would do
        answer = {"error": str(error) or type(error).__name__}
    with os.fdopen(answer_fd, "w") as out:
        json.dump(answer, out)


if __name__ == "__main__":
    main()
