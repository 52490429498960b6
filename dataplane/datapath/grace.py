"""How long what packets were led to has to stay: until every one that was on its way is through."""

import ctypes
import platform
import time

_MEMBARRIER = {"x86_64": 324, "aarch64": 283, "riscv64": 283, "ppc64le": 365, "s390x": 356}
_MEMBARRIER_CMD_GLOBAL = 1
_GRACE_S = 0.05
_libc = ctypes.CDLL(None, use_errno=True)


def wait_for_packets() -> None:
    """Until every packet that was on its way is through: only then may a slot that it was led to be used again.

    membarrier(2) waits for an RCU grace period, within which programs run.
    """
    call = _MEMBARRIER.get(platform.machine())
    if call is None or _libc.syscall(call, _MEMBARRIER_CMD_GLOBAL, 0, 0) != 0:
        time.sleep(_GRACE_S)
