"""Which kernel modules the first root file system needs, and in which order they load.

Reads a kernel's own lists; loads nothing.
"""

import lzma
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from lab.vm.errors import MachineError

# The way to the root file system; all else is loaded later, by the machine itself out of that root.
NEEDED = ("virtio_pci", "fuse", "virtiofs", "overlay")
# The card of a machine that is wired to another one: no udev of the root would load its driver.
WIRED = ("virtio_net",)


def load_order(folder: Path, names: Iterable[str] = NEEDED) -> list[Path]:
    """The modules of these names with all they depend on, dependencies first, each once.

    Args:
        folder: ``/lib/modules/VERSION`` of the kernel, with the lists that depmod wrote.
        names: as modprobe takes them.

    Raises:
        MachineError: the kernel has no such module.
    """
    depends = _dependencies((folder / "modules.dep").read_text())
    built_in = {module_name(line) for line in (folder / "modules.builtin").read_text().splitlines()}
    order: dict[str, None] = {}
    for name in names:
        if name in built_in:
            continue
        path = next((path for path in depends if module_name(path) == name), None)
        if path is None:
            raise MachineError(f"the kernel in {folder} has no module {name}; it cannot mount the machine's root")
        # depmod writes the nearest dependency first.
        order.update(dict.fromkeys([*reversed(depends[path]), path]))
    return [folder / path for path in order]


def module_name(path: str) -> str:
    """``virtio_pci`` of ``kernel/drivers/virtio/virtio-pci.ko.xz``: the kernel takes both strokes for one."""
    return PurePosixPath(path).name.partition(".")[0].replace("-", "_")


def content(path: Path) -> bytes:
    """A module's bytes as the kernel wants them: not compressed."""
    packed = path.read_bytes()
    return lzma.decompress(packed) if path.suffix == ".xz" else packed


def _dependencies(text: str) -> dict[str, list[str]]:
    lines = (line.partition(":") for line in text.splitlines())
    return {path: needed.split() for path, _, needed in lines}
