"""A small Debian that systemd boots: a root file system of its own, the host's kernel, namespaces of its own.

The root is made once by mmdebstrap and kept outside the repository; each container writes to a layer of its own. The
product and the Python packages that it needs are shown to it read-only.
"""

import contextlib
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("systemd", "systemd-sysv", "dbus", "python3", "iproute2", "iputils-ping")
MODULES = (
    *("click", "pydantic", "pydantic_core", "pyroute2", "yaml", "rich", "typing_extensions", "annotated_types"),
    *("prometheus_client", "psutil"),
)
CHECKOUT = "/opt/dataplane"
MADE_WITH = {"mmdebstrap": "mmdebstrap"}
BOOTS_WITH = {**MADE_WITH, "systemd-nspawn": "systemd-container"}

_MAKE_TIMEOUT_S = 300
_BOOT_TIMEOUT_S = 90
_LAUNCHER = f"""\
#!/bin/sh
# What .venv/bin/dataplane is on a real host.
PYTHONPATH=$(ls -d /opt/site* | tr '\\n' ':'){CHECKOUT} exec /usr/bin/python3 -m dataplane "$@"
"""
MOUNT_AND_RUN = 'mount -t overlay -o "$1" overlay "$2" && shift 2 && exec "$@"'
_CHECK_UNIT = """\
[Unit]
After=dataplane.service
[Service]
Type=oneshot
ExecStart=/bin/sh /opt/check.sh
StandardOutput=file:/opt/result
StandardError=inherit
ExecStopPost=/bin/systemctl poweroff --no-block
[Install]
WantedBy=multi-user.target
"""


def why_not(tools: Mapping[str, str] = BOOTS_WITH) -> str:
    """Why this machine cannot make or boot one; empty where it can.

    Args:
        tools: those that are needed, each with its Debian package.
    """
    if os.geteuid() != 0:
        return "needs root: run with sudo"
    missing = [package for tool, package in tools.items() if shutil.which(tool) is None]
    if missing:
        return f"needs the Debian packages {' and '.join(missing)}"
    if _suite() != "bookworm" or sys.version_info[:2] != (3, 11):
        return "the Python packages of this machine do not run in a Debian 12"
    return ""


def _suite() -> str:
    return platform.freedesktop_os_release().get("VERSION_CODENAME", "")


def base_root(packages: Sequence[str] = PACKAGES) -> Path:
    """The root file system that all containers share, as a folder; made when it is not there, and never written to.

    Args:
        packages: of Debian, besides the essential ones.

    Raises:
        RuntimeError: mmdebstrap failed; with the end of what it said.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dataplane"
    cache.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(" ".join((_suite(), *packages)).encode()).hexdigest()[:12]
    base = cache / f"boot-root-{digest}"
    if not base.exists():
        made = cache / f"{base.name}.{os.getpid()}"
        command = ["mmdebstrap", "--variant=minbase", "--format=directory", "--skip=output/mknod"]
        done = subprocess.run(
            [*command, f"--include={','.join(packages)}", _suite(), str(made)],
            capture_output=True,
            text=True,
            timeout=_MAKE_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            shutil.rmtree(made, ignore_errors=True)
            raise RuntimeError(f"mmdebstrap failed: {done.stderr[-2000:]}")
        made.rename(base)
    return base


@dataclass(frozen=True, slots=True)
class Container:
    """A machine that can be booted again and again.

    Args:
        upper: what it has changed of the shared root, and so what it keeps from boot to boot.
        work: overlayfs's own folder.
        mountpoint: where the two are one while it runs, in a mount namespace of its own.
    """

    upper: Path
    work: Path
    mountpoint: Path

    @classmethod
    def create(cls, folder: Path) -> "Container":
        """A fresh one, with a launcher where an installation's environment would be."""
        made = cls(folder / "upper", folder / "work", folder / "root")
        for path in (made.upper, made.work, made.mountpoint):
            path.mkdir(parents=True)
        launcher = made.upper / CHECKOUT.lstrip("/") / ".venv/bin/dataplane"
        launcher.parent.mkdir(parents=True)
        launcher.write_text(_LAUNCHER)
        launcher.chmod(0o755)
        units = made.upper / "etc/systemd/system"
        (units / "multi-user.target.wants").mkdir(parents=True)
        (units / "check.service").write_text(_CHECK_UNIT)
        (units / "multi-user.target.wants/check.service").symlink_to("../check.service")
        return made

    def boot(self, script: str) -> str:
        """Boot, run a script once everything is up, power off.

        Returns:
            What the script said.
        """
        (self.upper / "opt/check.sh").write_text(script)
        result = self.upper / "opt/result"
        result.unlink(missing_ok=True)
        machine = f"dataplane-boot-{os.getpid()}"
        groups_before = _control_groups()
        process = subprocess.Popen(
            [
                *("unshare", "--mount", "--propagation", "private", "sh", "-c", MOUNT_AND_RUN, "sh"),
                *(f"lowerdir={base_root()},upperdir={self.upper},workdir={self.work}", str(self.mountpoint)),
                *("systemd-nspawn", f"--directory={self.mountpoint}", f"--machine={machine}", "--boot"),
                # No systemd of the host's, which may have none; and a network that is empty and its own.
                *("--register=no", "--keep-unit", "--private-network", "--capability=all", "--console=read-only"),
                *(f"--bind-ro={source}:{target}" for source, target in _bound()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            console, _ = process.communicate(timeout=_BOOT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.terminate()  # asks for a shutdown; the second one ends it at once
            process.terminate()
            console, _ = process.communicate(timeout=10)
        finally:
            _remove_residue(machine, groups_before)
        said = result.read_text() if result.exists() else ""
        assert "end of check" in said, f"{said}\n{console.decode(errors='replace')[-4000:]}"
        return said


def _bound() -> Iterator[tuple[Path, str]]:
    """What is shown to the container: the product, its scripts, and the folders of the packages that it imports."""
    yield ROOT / "dataplane", f"{CHECKOUT}/dataplane"
    yield ROOT / "scripts", f"{CHECKOUT}/scripts"
    specs = [importlib.util.find_spec(module) for module in MODULES]
    origins = [Path(spec.origin) for spec in specs if spec is not None and spec.origin is not None]
    folders = {origin.parents[1] if origin.name.startswith("__init__.") else origin.parent for origin in origins}
    # The environment's own packages before the distribution's older ones.
    for number, folder in enumerate(sorted(folders, key=lambda folder: not folder.is_relative_to(sys.prefix))):
        yield folder, f"/opt/site{number}"


def _control_groups() -> set[Path]:
    """Those that nspawn makes below the present one, and all that the container made in them."""
    own = {line.split(":", 2)[2] for line in Path("/proc/self/cgroup").read_text().splitlines()}
    base = Path("/sys/fs/cgroup")
    roots = (base, *filter(Path.is_dir, base.iterdir()))
    tops = {root / path.lstrip("/") / name for root in roots for path in own for name in ("payload", "supervisor")}
    return {folder for top in tops if top.is_dir() for folder in (top, *filter(Path.is_dir, top.rglob("*")))}


def _remove_residue(machine: str, groups_before: set[Path]) -> None:
    """What nspawn leaves without a systemd of the host's: an empty folder in /run, and empty control groups."""
    folder = Path("/run/systemd/nspawn/propagate") / machine
    if folder.is_dir():
        folder.rmdir()
    for group in sorted(_control_groups() - groups_before, reverse=True):  # children before parents
        with contextlib.suppress(OSError):  # a process of somebody else has moved in
            group.rmdir()
