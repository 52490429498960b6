"""The compiling process: reads a request on stdin, compiles with bcc, pins, answers on stdout, and is gone.

Runs under Debian's own python3, since bcc is a package of that one; so it imports nothing of ours. It lives as short
as it does because bcc never gives back what a compilation takes (125 MB). Never run inside the product's process.

Request: ``text``, ``flags``, ``programs`` (function -> ``XDP`` or ``SCHED_CLS``), ``maps`` (name -> layouts of key and
Request: ``text``, ``flags``, ``programs`` (function -> ``XDP`` or ``SCHED_CLS``), ``maps`` (name -> layouts of key and
value), ``directory`` (an existing folder of a BPF file system), ``kept`` (map -> pin of the map to go on with). Answer:
``{}`` or ``{"missing": ...}`` or ``{"error": ...}``, as JSON; what the compiler and the verifier say goes to stderr.
"""

import ctypes
import json
import os
import sys
from typing import Any


def layout_of(kind: Any) -> list[list[Any]]:
    """The fields of one of bcc's types, as [name, offset, size]: the other side's view of ``layout.layout_of``."""
    fields = getattr(kind, "_fields_", None)
    if fields is None:
        return [["", 0, ctypes.sizeof(kind)]]
    return [[field[0], getattr(kind, field[0]).offset, getattr(kind, field[0]).size] for field in fields]


def difference(module: Any, maps: dict[str, dict[str, Any]]) -> str:
    """The first map whose keys or values lie otherwise in C than in Python, as a sentence; empty where none does."""
    for name, wanted in maps.items():
        table = module[name]
        for part, declared in (("key", table.Key), ("value", table.Leaf)):
            # Of a per-CPU map bcc shows an array with one value per CPU.
            is_per_cpu = issubclass(declared, ctypes.Array)
            found = layout_of(declared._type_ if is_per_cpu else declared)
            if found != wanted[part]:
                return f"the {part} of map {name} is {found} in C and {wanted[part]} in Python"
    return ""


def pin(lib: Any, fd: int, path: str) -> None:
    """Pin one object; an OSError says why it could not be."""
    lib.bpf_obj_pin.argtypes = (ctypes.c_int, ctypes.c_char_p)
    result = lib.bpf_obj_pin(fd, os.fsencode(path))
    if result < 0:
        raise OSError(-result, f"pinning {path}: {os.strerror(-result)}")


def keep(lib: Any, fd: int, path: str) -> None:
    """Put a pinned map in the place of the one that bcc has just made: programs name their maps by descriptor."""
    lib.bpf_obj_get.argtypes = (ctypes.c_char_p,)
    kept = lib.bpf_obj_get(os.fsencode(path))
    if kept < 0:
        raise OSError(-kept, f"opening {path}: {os.strerror(-kept)}")
    os.dup2(kept, fd)
    os.close(kept)


def build(request: dict[str, Any]) -> dict[str, str]:
    """Compile, compare, load, pin."""
    try:
        from bcc import BPF
        from bcc.libbcc import lib
    except ImportError as error:
        return {"missing": str(error)}
    module = BPF(text=request["text"], cflags=request["flags"])
    problem = difference(module, request["maps"])
    if problem:
        return {"error": problem}
    for name, path in request["kept"].items():
        keep(lib, module[name].map_fd, path)
    for name, kind in request["programs"].items():
        pin(lib, module.load_func(name, getattr(BPF, kind)).fd, f"{request['directory']}/{name}")
    for name in request["maps"]:
        pin(lib, module[name].map_fd, f"{request['directory']}/{name}")
    return {}


def main() -> None:
    """One request, one answer."""
    request = json.load(sys.stdin)
    answer_fd = os.dup(1)
    os.dup2(2, 1)  # bcc prints to stdout, which is for the answer
    try:
        answer = build(request)
    except Exception as error:  # bcc raises bare Exceptions, so that no narrower net would do
        answer = {"error": str(error) or type(error).__name__}
    os.write(answer_fd, json.dumps(answer).encode())


if __name__ == "__main__":
    main()
