"""The folder that bcc takes for a kernel source tree: the installed UAPI headers, and three small files of ours.

bcc wants the headers of the running kernel, which a container or a self-built kernel often has none of. Our programs
use the stable interface only, so the two megabytes of linux-libc-dev are enough, whatever kernel runs.
"""

import platform
import sysconfig
from importlib.resources import files
from pathlib import Path

from dataplane.errors import HostError

_INSTALLED = Path("/usr/include")
_ARCHITECTURES = {"x86_64": "x86", "aarch64": "arm64", "riscv64": "riscv", "ppc64le": "powerpc", "s390x": "s390"}
_EMPTY = ("linux/log2.h", "asm/page.h")
"""Files that bcc's own headers name and of which they use nothing that we need."""


def text() -> str:
    """Our own header, which stands for a kernel's configuration."""
    return files("ebpf").joinpath("headers/kconfig.h").read_text(encoding="utf-8")


def write_tree(root: Path) -> None:
    """Make the tree in an empty folder.

    Raises:
        HostError: the kernel's UAPI headers are not installed.
    """
    machine = platform.machine()
    multiarch = _INSTALLED / (sysconfig.get_config_var("MULTIARCH") or f"{machine}-linux-gnu")
    missing = [path for path in (_INSTALLED / "linux/bpf.h", multiarch / "asm/types.h") if not path.exists()]
    if missing:
        raise HostError(
            f"{missing[0]} is missing, which compiling eBPF programs needs; "
            "install it (Debian: apt install linux-libc-dev)"
        )
    include = root / "include"
    for name in ("linux/kconfig.h", *_EMPTY):
        path = include / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text() if name == "linux/kconfig.h" else "", encoding="utf-8")
    (include / "uapi").symlink_to(_INSTALLED)
    architecture = root / "arch" / _ARCHITECTURES.get(machine, machine) / "include"
    architecture.mkdir(parents=True)
    (architecture / "uapi").symlink_to(multiarch)
