"""The command lines of the machine: qemu's and virtiofsd's. Pure but for looking for the programs."""

import shutil
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from lab.vm.errors import Unavailable

_QEMU = "qemu-system-x86_64"
# Debian 12 has the server in qemu's package, later releases as a package of its own.
_SERVERS = (Path("/usr/lib/qemu/virtiofsd"), Path("/usr/libexec/virtiofsd"))


class Accelerator(Enum):
    """What executes the machine's instructions."""

    KVM = "kvm"
    EMULATION = "emulation"


_PROCESSORS = {
    Accelerator.KVM: ["-accel", "kvm", "-cpu", "host"],
    # Without -cx16, Linux 6.12 crashes at boot under qemu 7.2 two times out of three.
    Accelerator.EMULATION: ["-accel", "tcg,thread=multi", "-cpu", "max,-cx16"],
}


@dataclass(frozen=True, slots=True)
class Files:
    """The files of one run, in a folder of its own.

    Args:
        folder: exists, and goes with the run.
    """

    folder: Path

    @property
    def initramfs(self) -> Path:
        return self.folder / "initramfs"

    @property
    def root_socket(self) -> Path:
        """Where the server of the root listens."""
        return self.folder / "root.socket"

    @property
    def root_log(self) -> Path:
        """What the server of the root says."""
        return self.folder / "root.log"

    @property
    def console(self) -> Path:
        """What the kernel says."""
        return self.folder / "console"

    @property
    def status(self) -> Path:
        """What becomes of the command, in second.sh's words."""
        return self.folder / "status"


@dataclass(frozen=True, slots=True)
class Size:
    """How much of this machine it gets.

    Args:
        memory: as qemu takes it, such as ``2G``.
        processors: in emulation, one runs a third faster than two, which must keep each other's memory in order.
    """

    memory: str = "2G"
    processors: int = 2


def machine(accelerator: Accelerator, image: Path, files: Files, size: Size, *, has_root: bool) -> list[str]:
    """A machine without devices but three serial ports; the command's output is qemu's standard output.

    Args:
        image: the kernel.
        has_root: the server of the root listens; without it there is only the initial file system.
    """
    # The server reads and writes the machine's memory itself, so it must be a shared one.
    root = [
        *("-chardev", f"socket,id=root,path={files.root_socket}"),
        *("-device", "vhost-user-fs-pci,chardev=root,tag=root,queue-size=1024"),
    ]
    return [
        program(),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "q35"),
        *_PROCESSORS[accelerator],
        *("-smp", str(size.processors), "-m", size.memory),
        *("-object", f"memory-backend-memfd,id=memory,size={size.memory},share=on", "-numa", "node,memdev=memory"),
        *(root if has_root else []),
        *("-kernel", str(image), "-initrd", str(files.initramfs)),
        # mitigations=off: they guard a processor that emulation has not, and make its system calls three times slower.
        *("-append", "console=ttyS0 quiet panic=-1 mitigations=off"),
        *("-chardev", f"file,id=console,path={files.console}", "-serial", "chardev:console"),
        *("-chardev", "stdio,id=output,signal=off", "-serial", "chardev:output"),
        *("-chardev", f"file,id=status,path={files.status}", "-serial", "chardev:status"),
    ]


def root_server(listener: int) -> list[str]:
    """The server of this machine's root file system, as a child of this process.

    Args:
        listener: the descriptor of the listening socket, inherited.

    Raises:
        Unavailable: no such program here.
    """
    path = next((path for path in _SERVERS if path.exists()), None)
    if path is None:
        raise Unavailable("no virtiofsd here: apt-get install qemu-system-x86, and virtiofsd where that is a package")
    # cache=always: what the machine has read it keeps, for this machine's files are not expected to change in between.
    # sandbox=chroot: the other kind moves the root to the served folder, which cannot be done with the root itself.
    return [str(path), f"--fd={listener}", "-o", "source=/,cache=always,sandbox=chroot"]


def program() -> str:
    """qemu itself.

    Raises:
        Unavailable: not installed.
    """
    path = shutil.which(_QEMU)
    if path is None:
        raise Unavailable(f"no {_QEMU} here: apt-get install qemu-system-x86")
    return path
