"""Programs of ``ebpf/`` in the kernel: compiled once, pinned under a hash of all that they are made of, then adopted.

Owns the folders in the BPF file system. The compiling is done by another process (``build.py``), so that ours never
carries a compiler, and only for what ``cache.py`` has not kept. A folder is complete from the moment that it has its
name: it is filled under another one.
"""

import contextlib
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dataplane.datapath import bpffs, build, cache, flatten, headers, libbpf
from dataplane.datapath.compiled import Compiled, install
from dataplane.datapath.layout import MapSpec, layouts_of
from dataplane.errors import BugError, HostError

_SYSTEM_PYTHON = Path("/usr/bin/python3")
PYTHON = str(_SYSTEM_PYTHON) if _SYSTEM_PYTHON.exists() else sys.executable
"""The one that bcc is a package of."""
_FLAGS = ("-w",)  # bcc's own headers warn; what matters is an error
_TIMEOUT_S = 180  # 0.4 s on a plain machine, 3 s in an emulated one
_SCHED_CLS, _XDP = 3, 6
_UNFINISHED = "new-"
_LAST_WORDS = 1200
_SHARED = 8
"""Letters of a fingerprint that are about the maps alone."""


@dataclass(frozen=True, slots=True)
class ProgramSpec:
    """One source file of ``ebpf/``, and what comes out of it.

    Args:
        name: the feature; its source is ``ebpf/<name>.c``.
        programs: names of its functions.
        maps: its maps, by name.
        xdp: the programs that are for XDP; all others are for tc.
        defines: sizes, and features that have maps, as the compiler gets them (``-DNAME=NUMBER``).
        features: likewise what only the program depends on: it can be exchanged, and the maps stay.
    """

    name: str
    programs: tuple[str, ...]
    maps: Mapping[str, MapSpec]
    xdp: frozenset[str] = frozenset()
    defines: Mapping[str, int] = field(default_factory=dict)
    features: Mapping[str, int] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """The C text, with the headers of ours that it includes."""
        return flatten.flat(f"{self.name}.c")

    @property
    def flags(self) -> tuple[str, ...]:
        """What the compiler is told."""
        return _flags({**self.defines, **self.features})

    @property
    def types(self) -> dict[str, int]:
        """The kind of each program, as the kernel numbers them (``enum bpf_prog_type``)."""
        return {name: _XDP if name in self.xdp else _SCHED_CLS for name in self.programs}

    @property
    def fingerprint(self) -> str:
        """A hash of the maps' layouts and sizes, and one of everything that a compilation depends on.

        Where the first is the same, another program can go on with the maps that are there.
        """
        flags = {name: spec.flags for name, spec in self.maps.items()}
        layouts = json.dumps([layouts_of(self.maps), flags], sort_keys=True)
        parts = (self.source, headers.text(), Path(build.__file__).read_text(encoding="utf-8"), self.flags)
        return f"{_hash(layouts, _flags(self.defines))[:_SHARED]}-{_hash(*parts, self.types, layouts)[:16]}"


def _flags(defines: Mapping[str, int]) -> tuple[str, ...]:
    return (*_FLAGS, *(f"-D{name}={number}" for name, number in sorted(defines.items())))


def _hash(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def directory(spec: ProgramSpec) -> Path:
    """Where a program is pinned for the present network namespace, whether or not it is."""
    return bpffs.folder() / f"{spec.name}-{spec.fingerprint}"


def is_loaded(spec: ProgramSpec) -> bool:
    """Whether the program, as it is in this version, is in the kernel, with every pin that belongs to it."""
    if not bpffs.is_mounted():
        return False
    folder = directory(spec)
    return all((folder / pin).exists() for pin in (*spec.programs, *spec.maps))


def load(spec: ProgramSpec, fill: Callable[[Path], None] | None = None, *, keeps_maps: bool = False) -> Path:
    """Adopt the pinned program, or compile and pin it; other versions lose their pins.

    What another version's filters hold goes on running until they are replaced.

    Args:
        fill: puts into the maps of a folder what has to be there before the program counts as loaded; called for
            new maps only.
        keeps_maps: another version's maps of the same layouts and sizes are gone on with.

    Returns:
        The folder with one pin per program and map.

    Raises:
        HostError: a package or a kernel feature is missing, or the program does not load.
    """
    home = bpffs.prepare()
    wanted = directory(spec)
    if is_loaded(spec):
        _check_sizes(spec, wanted)
    else:
        kept = _maps_to_keep(spec, wanted) if keeps_maps else None
        unfinished = home / f"{_UNFINISHED}{wanted.name}-{os.getpid()}"
        unfinished.mkdir(mode=0o700)
        try:
            _install(spec, unfinished, kept)
            _check_sizes(spec, unfinished)
            if fill is not None and kept is None:
                fill(unfinished)
            _remove(wanted)  # somebody took pins out of it
            unfinished.rename(wanted)
        finally:
            _remove(unfinished)
    for other in pins(spec):
        if other != wanted:
            _remove(other)
    return wanted


def _maps_to_keep(spec: ProgramSpec, wanted: Path) -> Path | None:
    """The folder of another version, or of this one with a program missing, whose maps are complete and like ours."""
    start = wanted.name[: len(spec.name) + 1 + _SHARED]
    alike = [path for path in pins(spec) if path.name.startswith(f"{start}-")]
    return next((path for path in alike if all((path / name).exists() for name in spec.maps)), None)


@contextlib.contextmanager
def tried(spec: ProgramSpec) -> Iterator[dict[str, int]]:
    """The program with maps of its own, to run it on made frames; nothing of it stays, and nobody adopts it.

    Yields:
        The descriptors of its programs and maps, by name; closed at the end.

    Raises:
        HostError: a package or a kernel feature is missing, or the program does not load.
    """
    unfinished = bpffs.prepare() / f"{_UNFINISHED}{spec.name}-try-{os.getpid()}"
    unfinished.mkdir(mode=0o700)
    fds: dict[str, int] = {}
    try:
        try:
            _install(spec, unfinished)
            _check_sizes(spec, unfinished)
            for name in (*spec.programs, *spec.maps):
                fds[name] = libbpf.open_pinned(unfinished / name)
        finally:
            _remove(unfinished)
        yield fds
    finally:
        for fd in fds.values():
            os.close(fd)
        bpffs.leave()


def unload(spec: ProgramSpec) -> None:
    """Take the pins of every version away; the kernel drops what nothing holds any more."""
    for found in pins(spec):
        _remove(found)
    bpffs.leave()


def has_pins(spec: ProgramSpec) -> bool:
    """Whether anything is left for ``unload``: pins of any version, half made ones, or the empty folder."""
    return bool(pins(spec)) or bpffs.is_bare()


def pins(spec: ProgramSpec) -> list[Path]:
    """The folders of all versions of a program, unfinished ones included."""
    return pins_named(spec.name)


def pins_named(name: str) -> list[Path]:
    """The folders of all versions of the program of a name, and unfinished ones that nobody works on any more."""
    if not bpffs.is_mounted() or not bpffs.folder().is_dir():
        return []
    named = ((path, path.name.removeprefix(_UNFINISHED)) for path in bpffs.folder().iterdir())
    return sorted(path for path, found in named if found.startswith(f"{name}-") and not _is_in_work(path))


def _is_in_work(path: Path) -> bool:
    """Whether a folder is still being filled: the end of its name says by which process."""
    return path.name.startswith(_UNFINISHED) and Path("/proc", path.name.rpartition("-")[2]).exists()


def _install(spec: ProgramSpec, where: Path, kept: Path | None = None) -> None:
    """Pin a program in a folder, compiled anew or as it was kept.

    Args:
        kept: the folder whose maps the programs are to go on with, instead of new ones.
    """
    key = f"{spec.name}-{spec.fingerprint}-{platform.machine()}"
    compiled = cache.find(key)
    if compiled is None:
        compiled = _compile(spec)
        cache.keep(key, compiled)
    install(compiled, spec.types, where, {} if kept is None else {name: kept / name for name in spec.maps})


def _compile(spec: ProgramSpec) -> Compiled:
    """Have another process compile."""
    request = {
        "text": spec.source,
        "flags": spec.flags,
        "programs": spec.programs,
        "maps": layouts_of(spec.maps),
    }
    with tempfile.TemporaryDirectory(prefix="dataplane-headers-") as tree:
        headers.write_tree(Path(tree))
        try:
            done = subprocess.run(
                [PYTHON, "-I", build.__file__],
                input=json.dumps(request),
                env={**os.environ, "BCC_KERNEL_SOURCE": tree},
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise HostError(f"ebpf/{spec.name}.c cannot be compiled: {error}") from error
    return _judge(spec, done)


def _judge(spec: ProgramSpec, done: "subprocess.CompletedProcess[str]") -> Compiled:
    """What the compiling process made; an error where it made nothing."""
    try:
        answer = json.loads(done.stdout)
        if not {"missing", "error"} & answer.keys():
            return Compiled.of_answer(answer)
    except (ValueError, AttributeError):
        answer = {"error": f"the compiling process ended with {done.returncode}"}
    if "missing" in answer:
        raise HostError(
            f"compiling eBPF programs needs bcc for {PYTHON} ({answer['missing']}); "
            "install it (Debian: apt install python3-bpfcc)"
        )
    said = done.stderr.strip()[-_LAST_WORDS:]
    raise HostError(f"ebpf/{spec.name}.c does not compile: {answer['error']}" + (f"\n{said}" if said else ""))


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
        if info.map_flags & wanted.flags != wanted.flags:
            raise BugError(f"map {where / name} has the flags {info.map_flags:#x}, not {wanted.flags:#x}; report this")


def _remove(folder: Path) -> None:
    """Remove a folder of pins; gone already is fine."""
    with contextlib.suppress(FileNotFoundError):
        for pin in folder.iterdir():
            pin.unlink(missing_ok=True)
        folder.rmdir()
