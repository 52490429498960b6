"""What `doctor` looks at besides the kernel's features: rights, tools, Python packages, sysctls. It only reads."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataplane.model.kernel import Sysctl

PROC = Path("/proc")

_CAPABILITIES = {
    "CAP_NET_ADMIN": (12, "links, addresses, rules and routes"),
    "CAP_NET_RAW": (13, "packets that the lab sends and looks for"),
    "CAP_SYS_ADMIN": (21, "named namespaces"),
}
_TOOLS = {
    "nft": ("nftables", "networks of several hosts: what comes in by VXLAN"),
    "ip": ("iproute2", "looking round by hand"),
    "ping": ("iputils-ping", "trying connections by hand"),
    "traceroute": ("traceroute", "seeing the gateways on the way"),
    "tcpdump": ("tcpdump", "looking at packets by hand"),
}
_FORWARDER = "the forwarder (without it the kernel forwards), and VLANs where the kernel has no 802.1Q"
_OPTIONAL_PACKAGES = {"bcc": ("python3-bpfcc", _FORWARDER)}
_HEADER = Path("/usr/include/linux/bpf.h")


class Verdict(StrEnum):
    """How something stands: there, missing and needed, or missing and only useful."""

    OK = "ok"
    MISSING = "missing"
    OPTIONAL = "optional"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Args:
        area: ``privilege``, ``kernel``, ``tool``, ``python`` or ``sysctl``.
        needed_by: what does not work without it.
        remedy: what to do; empty where there is nothing to do.
        found: what there is, a version or a value; may be empty.
    """

    area: str
    name: str
    verdict: Verdict
    needed_by: str
    remedy: str = ""
    found: str = ""


def host_checks(proc: Path = PROC) -> Iterator[Check]:
    """Everything but the kernel's features.

    Args:
        proc: where /proc is; tests bring one of their own.
    """
    yield from _privileges(proc)
    yield from _tools()
    yield from _packages()
    yield from _sysctls(proc)


def _privileges(proc: Path) -> Iterator[Check]:
    status = (proc / "self/status").read_text()
    mask = next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:")), 0)
    for name, (bit, needed_by) in _CAPABILITIES.items():
        has = bool(mask >> bit & 1)
        remedy = "" if has else "run it with sudo; in a container, with --privileged"
        yield Check("privilege", name, Verdict.OK if has else Verdict.MISSING, needed_by, remedy)


def _tools() -> Iterator[Check]:
    # /usr/sbin is not on the PATH of every user, but it is on root's, who needs the tools.
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    for tool, (package, needed_by) in _TOOLS.items():
        found = shutil.which(tool, path=path)
        verdict = Verdict.OK if found else Verdict.OPTIONAL
        yield Check("tool", tool, verdict, needed_by, "" if found else f"apt install {package}", found or "")


def _packages() -> Iterator[Check]:
    for name in _required_packages():
        try:
            yield Check("python", name, Verdict.OK, "every command", found=version(name))
        except PackageNotFoundError:
            yield Check("python", name, Verdict.MISSING, "every command", "run scripts/setup")
    for name, (package, needed_by) in _OPTIONAL_PACKAGES.items():
        found = _version(name)
        verdict = Verdict.OK if found else Verdict.OPTIONAL
        yield Check("python", name, verdict, needed_by, "" if found else f"apt install {package}", found)
    has_headers = _HEADER.exists()
    verdict = Verdict.OK if has_headers else Verdict.OPTIONAL
    remedy = "" if has_headers else "apt install linux-libc-dev"
    yield Check("header", "linux/bpf.h", verdict, _FORWARDER, remedy, str(_HEADER) if has_headers else "")


def _required_packages() -> list[str]:
    """The names in our own metadata, without versions and extras."""
    try:
        lines = requires("dataplane") or []
    except PackageNotFoundError:
        return []
    return ["".join(_name(line)) for line in lines if "extra ==" not in line]


def _name(requirement: str) -> Iterator[str]:
    for letter in requirement:
        if not (letter.isalnum() or letter in "-_."):
            return
        yield letter


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _sysctls(proc: Path) -> Iterator[Check]:
    # Late: the commands that do not need it shall not pay for it.
    from dataplane.compile.sysctl import host_sysctls

    for sysctl in host_sysctls():
        yield from _threshold(proc, sysctl)
    path = proc / "sys/kernel/unprivileged_bpf_disabled"
    if path.exists():
        value = path.read_text().strip()
        is_off = value != "0"
        remedy = "" if is_off else "sysctl -w kernel.unprivileged_bpf_disabled=1"
        verdict = Verdict.OK if is_off else Verdict.OPTIONAL
        yield Check(
            "sysctl", "kernel.unprivileged_bpf_disabled", verdict, "a host with users of its own", remedy, value
        )


def _threshold(proc: Path, sysctl: "Sysctl") -> Iterator[Check]:
    """A limit that apply raises. It exists in the first namespace only: elsewhere there is nothing to say."""
    path = proc / "sys" / sysctl.name
    if not path.exists():
        return
    value = path.read_text().strip()
    verdict = Verdict.OK if int(value) >= int(sysctl.value) else Verdict.OPTIONAL
    remedy = "" if verdict is Verdict.OK else f"apply raises it to {sysctl.value}"
    yield Check("sysctl", sysctl.name.replace("/", "."), verdict, "many neighbours", remedy, value)
