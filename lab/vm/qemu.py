"""The command lines of the machine: qemu's and virtiofsd's. Pure but for looking for the programs."""

import shutil
from collections.abc import Sequence
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

    def socket(self, tag: str) -> Path:
        """Where the server of a share listens."""
        return self.folder / f"{tag}.socket"

    @property
    def share_log(self) -> Path:
        """What the servers of the shares say."""
        return self.folder / "shares.log"

    @property
    def console(self) -> Path:
        """What the kernel says."""
        return self.folder / "console"

    @property
    def status(self) -> Path:
        """What becomes of the command, in last.sh's words."""
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


@dataclass(frozen=True, slots=True)
class Wire:
    """One end of the wire between two machines: the machine's card ``eth0``.

    Args:
        descriptor: of a connected stream socket, which qemu inherits; frames go over it, each behind its length.
        number: of the machine, and the end of its MAC.
    """

    descriptor: int
    number: int


def machine(
    accelerator: Accelerator, image: Path, files: Files, size: Size, tags: Sequence[str] = (), wire: Wire | None = None
) -> list[str]:
    """A machine without devices but three serial ports; the command's output is qemu's standard output.

    Args:
        image: the kernel.
        tags: the shares, each of which has a server that listens; without any there is only the initial file system.
        wire: to another machine.
    """
    return [
        program(),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "q35"),
        *_PROCESSORS[accelerator],
        *("-smp", str(size.processors), "-m", size.memory),
        # The servers read and write the machine's memory themselves, so it must be a shared one.
        *("-object", f"memory-backend-memfd,id=memory,size={size.memory},share=on", "-numa", "node,memdev=memory"),
        *(word for tag in tags for word in _share(tag, files)),
        *(_card(wire) if wire else []),
        *("-kernel", str(image), "-initrd", str(files.initramfs)),
        # mitigations=off: they guard a processor that emulation has not, and make its system calls three times slower.
        *("-append", "console=ttyS0 quiet panic=-1 mitigations=off"),
        *("-chardev", f"file,id=console,path={files.console}", "-serial", "chardev:console"),
        *("-chardev", "stdio,id=output,signal=off", "-serial", "chardev:output"),
        *("-chardev", f"file,id=status,path={files.status}", "-serial", "chardev:status"),
    ]


def _share(tag: str, files: Files) -> list[str]:
    return [
        *("-chardev", f"socket,id={tag},path={files.socket(tag)}"),
        *("-device", f"vhost-user-fs-pci,chardev={tag},tag={tag},queue-size=1024"),
    ]


def _card(wire: Wire) -> list[str]:
    return [
        *("-netdev", f"stream,id=wire,addr.type=fd,addr.str={wire.descriptor}"),
        *("-device", f"virtio-net-pci,netdev=wire,mac=52:54:00:00:00:{wire.number:02x}"),
    ]


def share_server(listener: int, folder: Path) -> list[str]:
    """The server of a folder of this machine, as a child of this process.

    Args:
        listener: the descriptor of the listening socket, inherited.
        folder: what the machine sees as the whole of a file system.

    Raises:
        Unavailable: no such program here.
    """
    path = next((path for path in _SERVERS if path.exists()), None)
    if path is None:
        raise Unavailable("no virtiofsd here: apt-get install qemu-system-x86, and virtiofsd where that is a package")
    # cache=always: what the machine has read it keeps, for this machine's files are not expected to change in between.
    # sandbox=chroot: the other kind moves the root to the served folder, which cannot be done with the root itself.
    return [str(path), f"--fd={listener}", "-o", f"source={folder},cache=always,sandbox=chroot"]


def program() -> str:
    """qemu itself.

    Raises:
        Unavailable: not installed.
    """
    path = shutil.which(_QEMU)
    if path is None:
        raise Unavailable(f"no {_QEMU} here: apt-get install qemu-system-x86")
    return path
