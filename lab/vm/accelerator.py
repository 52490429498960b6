"""Which accelerator works here: KVM where a machine really boots with it, else emulation. Asked once per boot.

That /dev/kvm opens does not say that a machine runs: on some clouds it hangs.
"""

import os
import subprocess
from pathlib import Path

from lab.vm import kernels, machine, qemu
from lab.vm.kernels import Kernel
from lab.vm.qemu import Accelerator

_DEVICE = Path("/dev/kvm")
_BOOT_S = 5.0


def choose(kernel: Kernel) -> Accelerator:
    """The best that works here; the answer is kept in the cache until this machine boots anew or qemu changes."""
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        return Accelerator.EMULATION
    cache = kernels.cache_folder() / "accelerator"
    question = _question()
    known = cache.read_text().splitlines() if cache.exists() else []
    if len(known) == 2 and known[0] == question and known[1] in {each.value for each in Accelerator}:
        return Accelerator(known[1])
    answer = Accelerator.KVM if machine.starts(kernel, Accelerator.KVM, _BOOT_S) else Accelerator.EMULATION
    cache.write_text(f"{question}\n{answer.value}\n")
    return answer


def _question() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    version = subprocess.run([qemu.program(), "--version"], capture_output=True, text=True, check=True).stdout
    return f"{boot} {version.splitlines()[0]}"
