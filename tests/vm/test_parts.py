"""What a machine is made of, without starting one."""

import lzma
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lab.vm import cpio, kernels, modules, qemu, status
from lab.vm.errors import MachineError, Unavailable
from lab.vm.initramfs import Job, job_script
from lab.vm.kernels import Kernel
from lab.vm.qemu import Accelerator, Files, Size, Wire
from lab.vm.status import Status

KERNEL = Kernel("6.1.0", Path("/cache/vmlinuz"), Path("/cache/lib/modules/6.1.0"))


@pytest.mark.parametrize("content", [b"", b"1", b"12", b"123", b"1234", bytes(range(256))])
def test_the_archive_is_what_cpio_reads(tmp_path: Path, content: bytes) -> None:
    if shutil.which("busybox") is None:
        pytest.skip("needs the package busybox-static")
    packed = cpio.archive([cpio.folder("bin"), cpio.program("bin/x", b"#!/bin/sh\n"), cpio.file("bin/y", content)])
    subprocess.run(["busybox", "cpio", "-i"], input=packed, cwd=tmp_path, check=True, capture_output=True)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["bin", "x", "y"]
    assert (tmp_path / "bin" / "y").read_bytes() == content
    assert (tmp_path / "bin" / "x").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "bin" / "y").stat().st_mode & 0o777 == 0o644


def _modules(folder: Path) -> Path:
    lines = [
        "kernel/fs/fuse/virtiofs.ko.xz: kernel/fs/fuse/fuse.ko.xz kernel/virtio/virtio.ko.xz kernel/virtio/ring.ko.xz",
        "kernel/fs/fuse/fuse.ko.xz:",
        "kernel/virtio/virtio-pci.ko.xz: kernel/virtio/virtio.ko.xz kernel/virtio/ring.ko.xz",
        "kernel/virtio/virtio.ko.xz: kernel/virtio/ring.ko.xz",
        "kernel/virtio/ring.ko.xz:",
    ]
    (folder / "modules.dep").write_text("\n".join(lines))
    (folder / "modules.builtin").write_text("kernel/fs/overlayfs/overlay.ko\n")
    return folder


def test_modules_load_after_what_they_need_and_once(tmp_path: Path) -> None:
    order = modules.load_order(_modules(tmp_path), ("virtio_pci", "overlay", "virtiofs"))
    assert [path.name.partition(".")[0] for path in order] == ["ring", "virtio", "virtio-pci", "fuse", "virtiofs"]


def test_a_module_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="has no module squashfs"):
        modules.load_order(_modules(tmp_path), ("squashfs",))


def test_modules_are_given_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a.ko").write_bytes(b"plain")
    (tmp_path / "b.ko.xz").write_bytes(lzma.compress(b"packed"))
    assert [modules.content(tmp_path / name) for name in ("a.ko", "b.ko.xz")] == [b"plain", b"packed"]


def test_words_of_the_command_stay_words(tmp_path: Path) -> None:
    words = ["it's", "a b", "$HOME", "*", "", 'x"y', "--option=1", "line\nline"]
    job = Job(["printf", "%s|", *words], tmp_path / "a folder")
    script = job_script(KERNEL, job) + '(run_command); printf "%s" "$folder" "$bring"'
    shown = subprocess.run(["sh"], input=script, text=True, capture_output=True, check=True).stdout
    assert shown == "|".join(words) + "|" + str(tmp_path / "a folder")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", Status()),
        (b"start", Status()),
        (b"started\n", Status(True)),
        (b"started\nexit 7\n", Status(True, 7)),
        (b"started\nfile 4\na\nb\nexit 0\n", Status(True, 0, b"a\nb\n")),
        (b"started\nfile 0\nexit 3\n", Status(True, 3, b"")),
        # A machine that ends in the middle of the file has said nothing of the command.
        (b"started\nfile 100\nexit 0\n", Status(True, None, b"exit 0\n")),
    ],
)
def test_the_status_is_read_as_far_as_it_came(content: bytes, expected: Status) -> None:
    assert status.parse(content) == expected


def test_the_newest_kernel_is_what_the_archive_says() -> None:
    text = "Package: linux-image-cloud-amd64\nDepends: linux-image-6.1.0-99-cloud-amd64 (= 6.1.999-1)\nSize: 1\n"
    assert kernels.package_of(text) == "linux-image-6.1.0-99-cloud-amd64"
    with pytest.raises(Unavailable, match="does not say which kernel"):
        kernels.package_of("Package: x\nDepends: other\n")


@pytest.mark.parametrize(
    ("targets", "mirror"),
    [
        ("", None),
        ("http://other/ nodistro main\nhttp://near/debian/ bookworm main\n", "http://near/debian"),
        ("http://near/security/ bookworm-security main\nhttp://near/x bookworm contrib", None),
    ],
)
def test_the_mirror_is_the_one_of_this_machine(targets: str, mirror: str | None) -> None:
    if mirror is None:
        with pytest.raises(Unavailable, match="no source for bookworm"):
            kernels.mirror_of(targets, "bookworm")
    else:
        assert kernels.mirror_of(targets, "bookworm") == mirror


def test_emulation_leaves_out_what_crashes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(qemu, "program", lambda: "qemu")
    emulated, real = (
        qemu.machine(each, KERNEL.image, Files(tmp_path), Size("1G", 3), ["root"])
        for each in (Accelerator.EMULATION, Accelerator.KVM)
    )
    assert "max,-cx16" in emulated
    assert "host" in real
    assert emulated[emulated.index("-smp") : emulated.index("-smp") + 4] == ["-smp", "3", "-m", "1G"]
    assert "vhost-user-fs-pci,chardev=root,tag=root,queue-size=1024" in emulated
    assert not any(word.startswith("virtio-net") for word in emulated), "no card but a wire's"


def test_a_wired_machine_has_a_card_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(qemu, "program", lambda: "qemu")
    first, second = (
        qemu.machine(Accelerator.EMULATION, KERNEL.image, Files(tmp_path), Size(), (), Wire(7, number))
        for number in (1, 2)
    )
    assert "stream,id=wire,addr.type=fd,addr.str=7" in first
    assert set(second) - set(first) == {"virtio-net-pci,netdev=wire,mac=52:54:00:00:00:02"}


@pytest.mark.parametrize(
    ("given", "end", "number"),
    [({}, "off", ""), ({"number": 2}, "stay", "2"), ({"boot": Path("/a root")}, "init", "")],
)
def test_a_machine_knows_how_to_end(given: dict[str, Any], end: str, number: str) -> None:
    """One that stayed on alone would never end, and one of two that did not would take the wire away from the other."""
    script = job_script(KERNEL, Job(["true"], Path("/"), **given)) + 'printf "%s|" "$end" "$number"'
    shown = subprocess.run(["sh"], input=script, text=True, capture_output=True, check=True).stdout
    assert shown == f"{end}|{number}|"
