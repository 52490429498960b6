"""Programs of ``ebpf/`` in the kernel: compiled once, pinned under a hash of all that they are made of, then adopted.

Owns the folders in the BPF file system. The compiling is done by another process (``build.py``), so that ours never
carries a compiler. A folder is complete from the moment that it has its name: it is filled under another one.
"""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dataplane.datapath import bpffs, build, flatten, headers, libbpf
from dataplane.datapath.layout import MapSpec, layouts_of
from dataplane.errors import BugError, HostError

_SYSTEM_PYTHON = Path("/usr/bin/python3")
_FLAGS = ("-w",)  # bcc's own headers warn; what matters is an error
_TIMEOUT_S = 180  # 0.4 s on a plain machine, 3 s in an emulated one
_UNFINISHED = "new-"
_LAST_WORDS = 1200


@dataclass(frozen=True, slots=True)
class ProgramSpec:
    """One source file of ``ebpf/``, and what comes out of it.

    Args:
        name: the feature; its source is ``ebpf/<name>.c``.
        programs: names of its functions.
        maps: its maps, by name.
        xdp: the programs that are for XDP; all others are for tc.
        defines: sizes and features, as the compiler gets them (``-DNAME=NUMBER``).
    """

    name: str
    programs: tuple[str, ...]
    maps: Mapping[str, MapSpec]
    xdp: frozenset[str] = frozenset()
    defines: Mapping[str, int] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """The C text, with the headers of ours that it includes."""
        return flatten.flat(f"{self.name}.c")

    @property
    def flags(self) -> tuple[str, ...]:
        """What the compiler is told."""
        return (*_FLAGS, *(f"-D{name}={number}" for name, number in sorted(self.defines.items())))

    @property
    def types(self) -> dict[str, str]:
        """The kind of each program, in bcc's words."""
        return {name: "XDP" if name in self.xdp else "SCHED_CLS" for name in self.programs}

    @property
    def fingerprint(self) -> str:
        """A hash of everything that a compilation depends on: another one is another program."""
        parts = (self.source, headers.text(), Path(build.__file__).read_text(encoding="utf-8"), self.flags)
        layouts = json.dumps(layouts_of(self.maps), sort_keys=True)
        return hashlib.sha256(repr((*parts, self.types, layouts)).encode()).hexdigest()[:16]


def directory(spec: ProgramSpec) -> Path:
    """Where a program is pinned for the present network namespace, whether or not it is."""
    return bpffs.folder() / f"{spec.name}-{spec.fingerprint}"


def is_loaded(spec: ProgramSpec) -> bool:
    """Whether the program, as it is in this version, is in the kernel, with every pin that belongs to it."""
    return bpffs.is_mounted() and all((directory(spec) / pin).exists() for pin in (*spec.programs, *spec.maps))


def load(spec: ProgramSpec) -> Path:
    """Adopt the pinned program, or compile and pin it; other versions lose their pins.

    What another version's filters hold goes on running until they are replaced.

    Returns:
        The folder with one pin per program and map.

    Raises:
        HostError: a package or a kernel feature is missing, or the program does not load.
    """
    home = bpffs.prepare()
    wanted = directory(spec)
    if is_loaded(spec):
        _check_sizes(spec, wanted)
        return wanted
    _remove(wanted)  # somebody took pins out of it
    unfinished = home / f"{_UNFINISHED}{wanted.name}-{os.getpid()}"
    unfinished.mkdir(mode=0o700)
    try:
        _compile(spec, unfinished)
        unfinished.rename(wanted)
    finally:
        _remove(unfinished)
    _check_sizes(spec, wanted)
    for other in home.iterdir():
        if other != wanted and other.name.removeprefix(_UNFINISHED).startswith(f"{spec.name}-"):
            _remove(other)
    return wanted


@contextlib.contextmanager
def tried(spec: ProgramSpec) -> Iterator[dict[str, int]]:
    """The program with maps of its own, to run it on made frames; nothing of it stays, and nobody adopts it.

    Yields:
        The descriptors of its programs and maps, by name; closed at the end.

    Raises:
        HostError: a package or a kernel feature is missing, or the program does not load.
    """
    unfinished = bpffs.prepare() / f"{_UNFINISHED}try-{spec.fingerprint}-{os.getpid()}"
    unfinished.mkdir(mode=0o700)
    fds: dict[str, int] = {}
    try:
        try:
            _compile(spec, unfinished)
            _check_sizes(spec, unfinished)
            for name in (*spec.programs, *spec.maps):
                fds[name] = libbpf.open_pinned(unfinished / name)
        finally:
            _remove(unfinished)
        yield fds
    finally:
        for fd in fds.values():
            os.close(fd)


def unload(spec: ProgramSpec) -> None:
    """Take the pins of every version away; the kernel drops what nothing holds any more."""
    for found in _pins(spec) or ():
        _remove(found)
    with contextlib.suppress(OSError):  # another feature's pins are there, or none
        bpffs.folder().rmdir()


def has_pins(spec: ProgramSpec) -> bool:
    """Whether anything is left for ``unload``: pins of any version, half made ones, or the empty folder."""
    found = _pins(spec)
    return found is not None and (bool(found) or not any(bpffs.folder().iterdir()))


def _pins(spec: ProgramSpec) -> list[Path] | None:
    """The folders of all versions of a program, unfinished ones included; None where nothing was ever pinned."""
    if not bpffs.is_mounted() or not bpffs.folder().is_dir():
        return None
    named = ((path, path.name.removeprefix(_UNFINISHED)) for path in bpffs.folder().iterdir())
    return [path for path, name in named if name.startswith(f"{spec.name}-")]


def _compile(spec: ProgramSpec, where: Path) -> None:
    """Have another process compile and pin."""
    request = {
        "text": spec.source,
        "flags": spec.flags,
        "programs": spec.types,
        "maps": layouts_of(spec.maps),
        "directory": str(where),
    }
    python = str(_SYSTEM_PYTHON) if _SYSTEM_PYTHON.exists() else sys.executable
    with tempfile.TemporaryDirectory(prefix="dataplane-headers-") as tree:
        headers.write_tree(Path(tree))
        try:
            done = subprocess.run(
                [python, "-I", build.__file__],
                input=json.dumps(request),
                env={**os.environ, "BCC_KERNEL_SOURCE": tree},
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise HostError(f"ebpf/{spec.name}.c cannot be compiled: {error}") from error
    _judge(spec, done)


def _judge(spec: ProgramSpec, done: "subprocess.CompletedProcess[str]") -> None:
    """Turn what the compiling process answered into an error, unless all went well."""
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = {"error": f"the compiling process ended with {done.returncode}"}
    if "missing" in answer:
        raise HostError(
            f"compiling eBPF programs needs bcc for {_SYSTEM_PYTHON} ({answer['missing']}); "
            "install it (Debian: apt install python3-bpfcc)"
        )
    if "error" in answer:
        said = done.stderr.strip()[-_LAST_WORDS:]
        raise HostError(f"ebpf/{spec.name}.c does not load: {answer['error']}" + (f"\n{said}" if said else ""))


def _check_sizes(spec: ProgramSpec, where: Path) -> None:
    """Compare pinned maps with our types, in the kernel's own record."""
    for name, wanted in spec.maps.items():
        fd = libbpf.open_pinned(where / name)
        try:
            info = libbpf.map_info(fd)
        finally:
            os.close(fd)
        expected = tuple(sum(field[2] for field in wanted.layouts[part]) for part in ("key", "value"))
        if (info.key_size, info.value_size) != expected:
            raise BugError(
                f"map {where / name} has {info.key_size}+{info.value_size} bytes, not {expected}; report this"
            )


def _remove(folder: Path) -> None:
    """Remove a folder of pins; gone already is fine."""
    with contextlib.suppress(FileNotFoundError):
        for pin in folder.iterdir():
            pin.unlink(missing_ok=True)
        folder.rmdir()
