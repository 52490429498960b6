"""The agent's memory between rounds: what a round has used goes back to the kernel, and is not held for the next one.

Owns the allocator's spare pages. Must never be needed for anything to be right.
"""

import ctypes
import gc

_libc = ctypes.CDLL(None)


def settle() -> None:
    """Once all is imported: it lives as long as we do, and is not looked at again."""
    gc.collect()
    gc.freeze()


def give_back() -> None:
    """After a round: what it has left goes back. Not every C library can; then it stays ours."""
    gc.collect()
    trim = getattr(_libc, "malloc_trim", None)  # of glibc alone
    if trim is not None:
        trim(0)
