"""The first root file system of the machine: busybox, the modules on the way to the root, and what to run there.

Reads files of this machine and of the kernel's folder; writes nothing.
"""

import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.vm import cpio, modules
from lab.vm.errors import Unavailable
from lab.vm.kernels import Kernel

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Job:
    """What to run in the machine.

    Args:
        command: the program and its arguments.
        folder: where it runs.
        bring: a file to send back when it has ended, if it is there then.
        boot: the root to boot with its own init instead of this machine's root; what is written there stays.
        number: which of two machines that are wired together, 1 or 2; 0: it is alone.
    """

    command: Sequence[str]
    folder: Path
    bring: Path | None = None
    boot: Path | None = None
    number: int = 0


def build(kernel: Kernel, job: Job) -> bytes:
    """The archive for a machine that runs a job."""
    needed = modules.load_order(kernel.modules, (*modules.NEEDED, *(modules.WIRED if job.number else ())))
    folders = [cpio.folder(path) for path in ("bin", "dev", "modules", "lower", "upper", "root")]
    files = [
        cpio.program("init", (_HERE / "first.sh").read_bytes()),
        cpio.program("second.sh", (_HERE / "second.sh").read_bytes()),
        cpio.file("last.sh", (_HERE / "last.sh").read_bytes()),
        cpio.program("bin/busybox", _busybox()),
        cpio.file("command", job_script(kernel, job).encode()),
        *([_unit(), cpio.file("own", b"")] if job.boot else []),
        cpio.file("modules/order", "".join(f"{path.stem}\n" for path in needed).encode()),
    ]
    return cpio.archive(
        [*folders, *files, *(cpio.file(f"modules/{path.stem}", modules.content(path)) for path in needed)]
    )


def build_probe() -> bytes:
    """The archive for a machine that only says that it has started."""
    folders = [cpio.folder(path) for path in ("bin", "dev", "modules")]
    files = [
        cpio.program("init", (_HERE / "first.sh").read_bytes()),
        cpio.program("bin/busybox", _busybox()),
        cpio.file("modules/order", b""),
        cpio.file("probe", b""),
    ]
    return cpio.archive([*folders, *files])


def job_script(kernel: Kernel, job: Job) -> str:
    """What second.sh and last.sh read: variables, and the command as a function. Any word of it stays one word.

    By way of env, for busybox's shell takes its own `sh`, `ip` and others for those of the machine's root.
    """
    variables = {
        "modules": str(kernel.modules),
        "folder": str(job.folder),
        "bring": str(job.bring or ""),
        "number": str(job.number or ""),
        "end": "init" if job.boot else "stay" if job.number else "off",
    }
    lines = [f"{name}={shlex.quote(value)}" for name, value in variables.items()]
    return "\n".join([*lines, f"run_command() {{ exec /usr/bin/env -- {shlex.join(job.command)}; }}", ""])


def _unit() -> cpio.Entry:
    return cpio.file("vm-command.service", (_HERE / "vm-command.service").read_bytes())


def _busybox() -> bytes:
    path = shutil.which("busybox")
    if path is None:
        raise Unavailable("no busybox here: apt-get install busybox-static")
    content = Path(path).read_bytes()
    # A dynamically linked program names its loader, which is not in the archive.
    if b"/ld-linux" in content or b"/ld-musl" in content:
        raise Unavailable(
            f"{path} needs libraries that a machine does not have at first: apt-get install busybox-static"
        )
    return content
