"""KVM is used only where a machine boots with it, and that is asked once."""

import os
from pathlib import Path

import pytest

from lab.vm import accelerator, kernels, machine
from lab.vm.kernels import Kernel
from lab.vm.qemu import Accelerator

KERNEL = Kernel("6.1.0", Path("/cache/vmlinuz"), Path("/cache/lib/modules/6.1.0"))


class Host:
    """A machine with or without a KVM that works."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
        self.has_device = self.boots = True
        self.question = "boot 1, qemu 7.2"
        self.probes = 0
        monkeypatch.setattr(kernels, "cache_folder", lambda: cache)
        monkeypatch.setattr(accelerator, "_question", lambda: self.question)
        monkeypatch.setattr(machine, "starts", self.starts)
        monkeypatch.setattr(os, "access", lambda *_: self.has_device)

    def starts(self, kernel: Kernel, tried: Accelerator, timeout_s: float) -> bool:
        assert (kernel, tried, timeout_s) == (KERNEL, Accelerator.KVM, 5.0)
        self.probes += 1
        return self.boots


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Host:
    return Host(monkeypatch, tmp_path)


@pytest.mark.parametrize(("boots", "answer"), [(True, Accelerator.KVM), (False, Accelerator.EMULATION)])
def test_the_answer_of_a_probe_is_kept_until_something_changes(host: Host, boots: bool, answer: Accelerator) -> None:
    host.boots = boots
    assert [accelerator.choose(KERNEL) for _ in range(3)] == [answer] * 3
    assert host.probes == 1
    host.question = "boot 2, qemu 7.2"
    host.boots = not boots
    assert accelerator.choose(KERNEL) is not answer
    assert host.probes == 2


def test_without_the_device_nothing_is_tried(host: Host) -> None:
    host.has_device = False
    assert accelerator.choose(KERNEL) is Accelerator.EMULATION
    assert host.probes == 0


def test_a_spoilt_cache_is_asked_anew(host: Host, tmp_path: Path) -> None:
    (tmp_path / "accelerator").write_text(f"{host.question}\nwarp\n")
    assert accelerator.choose(KERNEL) is Accelerator.KVM
    assert host.probes == 1
