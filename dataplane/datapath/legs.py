"""The map of legs for whoever stores verdicts without a system call: its descriptor, and where each leg lies in it.

Owns how ``dp_leg`` lies in memory. Must never decide what a leg is: verdicts come from those who probe, or from hands.
"""

import os

from dataplane.datapath import forwarder, libbpf

STRIDE_BYTES = 8
"""From one leg to the next: the kernel keeps an array's values at multiples of 8 bytes, whatever their size
(``array_map_alloc``)."""


def legs_map_fd() -> int | None:
    """A descriptor of the pinned ``dp_leg`` of its own; the caller closes it, and maps ``legs_map_bytes`` of it.

    It stays good when the maps are replaced, and then nobody reads there any more: ask again after each apply.

    Returns:
        None where no forwarder is loaded: the kernel forwards alone.

    Raises:
        PermissionDenied: the caller may not open BPF objects.
    """
    with forwarder.adopted() as present:
        return os.dup(present.legs_fd) if present is not None else None


def legs_map_bytes(fd: int) -> int:
    """How many bytes of the map hold legs."""
    return int(libbpf.map_info(fd).max_entries) * STRIDE_BYTES


def leg_offset(leg: int) -> int:
    """Where a leg's one byte (``LegState``) lies."""
    return leg * STRIDE_BYTES
