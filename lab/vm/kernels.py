"""A distribution's kernel in the cache folder: found, or fetched with apt and unpacked there.

Nothing is installed: apt works with a source, lists and a cache of its own, and the machine's apt is left
alone. It must never unpack a kernel anywhere else, and never name a build of it: which one is the newest is what
the archive says. To have a newer one, remove its folder.
"""

import fcntl
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.vm.errors import MachineError, Unavailable

SERIES = {"6.1": "bookworm", "6.12": "bookworm-backports"}
"""Kernel series -> the Debian suite that has it."""

_META_PACKAGE = "linux-image-cloud-amd64"
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel ready to boot.

    Args:
        version: what ``uname -r`` says in it.
        image: the file to boot.
        modules: its modules, with depmod's lists.
    """

    version: str
    image: Path
    modules: Path


def cache_folder() -> Path:
    """Where kernels are kept: in the user's cache, or in the system's for root without one."""
    home = os.environ.get("XDG_CACHE_HOME")
    return Path(home or "/var/cache") / "dataplane" / "kernels"


def find(series: str) -> Kernel:
    """The kernel of a series, fetched the first time.

    Raises:
        Unavailable: it cannot be fetched; apt's words are in the message.
    """
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache):
        folder = cache / series
        if not folder.exists():
            _fetch(SERIES[series], folder)
    return _kernel_in(folder)


def _kernel_in(folder: Path) -> Kernel:
    images = sorted((folder / "boot").glob("vmlinuz-*"))
    if len(images) != 1:
        raise MachineError(f"{folder} holds {len(images)} kernels instead of one: remove that folder and try again")
    version = images[0].name.removeprefix("vmlinuz-")
    return Kernel(version, images[0], folder / "lib" / "modules" / version)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _fetch(suite: str, target: Path) -> None:
    """Download and unpack beside the target, and rename: what is there is whole."""
    print(f"vm: fetching the kernel of Debian's {suite}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as work:
        folder = Path(work)
        apt = _private_apt(folder, suite)
        _run(["apt-get", *apt, "update"])
        package = package_of(_run(["apt-cache", *apt, "show", "--no-all-versions", _META_PACKAGE]))
        _run(["apt-get", *apt, "download", package], folder)
        root = folder / "root"
        _run(["dpkg-deb", "--extract", *map(str, folder.glob("*.deb")), str(root)])
        if not (root / "lib").exists():  # newer packages keep their modules in /usr/lib
            (root / "lib").symlink_to("usr/lib")
        for modules in (root / "lib" / "modules").iterdir():
            _run(["depmod", "--basedir", str(root), modules.name])
        root.rename(target)


def package_of(description: str) -> str:
    """The package that brings the kernel itself, out of the description of the one that names the newest.

    Raises:
        Unavailable: it names none.
    """
    depends = re.search(r"^Depends: (linux-image-[0-9][^ ,]*)", description, re.MULTILINE)
    if depends is None:
        raise Unavailable(f"{_META_PACKAGE} does not say which kernel is its newest; apt's answer was: {description}")
    return depends[1]


def _private_apt(folder: Path, suite: str) -> list[str]:
    """Options that keep apt inside a folder: one source, and lists and cache of its own."""
    lists = folder / "lists" / "partial"
    archives = folder / "cache" / "archives" / "partial"
    for path in (lists, archives):
        path.mkdir(parents=True)
    options = ["arch=amd64", *([f"signed-by={_KEYRING}"] if _KEYRING.exists() else [])]
    sources = folder / "sources.list"
    sources.write_text(f"deb [{' '.join(options)}] {_mirror()} {suite} main\n")
    settings = {
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": "-",
        "Dir::State::Lists": lists.parent,
        "Dir::Cache": archives.parent.parent,
        "Acquire::Languages": "none",
        # The folder is the caller's own: apt's unprivileged user could not write there.
        "APT::Sandbox::User": "root",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def _mirror() -> str:
    """The mirror of Debian that this machine's own apt is set up with."""
    system = platform.freedesktop_os_release()
    if system.get("ID") != "debian":
        raise Unavailable(
            f"this is {system.get('NAME', 'no Debian')}: its apt does not know where Debian's kernels are"
        )
    wanted = "$(REPO_URI) $(RELEASE) $(COMPONENT)"
    targets = _run(["apt-get", "indextargets", "--format", wanted, "Created-By: Packages"])
    return mirror_of(targets, system.get("VERSION_CODENAME", "stable"))


def mirror_of(targets: str, codename: str) -> str:
    """The address of a release's main archive among the sources of apt.

    Args:
        targets: a line per source: its address, its release, its component.
        codename: the release of this machine, such as ``bookworm``; the archives of its updates are elsewhere.

    Raises:
        Unavailable: apt has no source for it.
    """
    for line in targets.splitlines():
        match line.split(" "):
            case [address, release, "main"] if release == codename:
                return address.rstrip("/")
    raise Unavailable(f"apt has no source for {codename} main, where Debian's kernels are; run apt-get update")


def _run(command: list[str], folder: Path | None = None) -> str:
    try:
        done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except FileNotFoundError:
        raise Unavailable(f"no {command[0]} here: install the packages apt, dpkg and kmod") from None
    if done.returncode != 0:
        words = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise Unavailable(f"{' '.join(command)} failed with exit code {done.returncode}:\n{words}")
    return done.stdout
