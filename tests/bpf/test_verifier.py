"""The verifier takes every set of sizes and features, far below its limit; the figures are printed (test 60, `-s`)."""

import ctypes

import pytest

from dataplane.datapath import forwarding_maps as maps
from dataplane.datapath import libbpf, loader
from dataplane.datapath.fib.layout import Room
from dataplane.datapath.forwarding_maps import Sizes

MOST = 100_000
"""A tenth of what the kernel allows, for what a configuration can ask for: groups of up to four (R51)."""
MOST_OF_64 = 200_000
MOST_WITH_LIMITS = 150_000
"""Limits and the multibit FIB together are above that tenth (ebpf/DESIGN.md): 117,226 at tc on 6.18, and without groups
109,821 at XDP on 6.1.
"""


class Info(ctypes.Structure):
    """``struct bpf_prog_info`` as far as ``verified_insns`` (5.16)."""

    _fields_ = (
        ("type_to_load_time", ctypes.c_uint8 * 48),
        ("uid_to_name", ctypes.c_uint8 * 32),
        ("ifindex_to_netns", ctypes.c_uint8 * 24),
        ("functions_to_tags", ctypes.c_uint8 * 88),
        ("runs", ctypes.c_uint64 * 3),
        ("verified", ctypes.c_uint32),
    )


def verified(fd: int) -> int:
    """How many instructions the verifier went through, on all ways together."""
    info = Info()
    libbpf._read_info(fd, info)
    return int(info.verified)


@pytest.mark.parametrize("flows", [0, 65_536], ids=["no limits", "limits"])
def test_a_program_without_groups_loads(flows: int) -> None:
    sizes = Sizes(1024, 0, 1024, 64, 64, 4, flows, Room(1 << 12, 64, 256), has_groups=False)
    with loader.tried(maps.spec(sizes)) as fds:
        for name in (maps.TC, maps.XDP):
            count = verified(fds[name])
            print(f"\n{name}, no groups: {count:,} instructions verified", end="")
            assert 100 < count <= (MOST_WITH_LIMITS if flows else MOST)


@pytest.mark.parametrize("fib", [None, Room(1 << 20, 1024, 1 << 16), Room(1 << 12, 64, 256)], ids=["lpm", "", "small"])
@pytest.mark.parametrize(
    ("members", "is_traced", "most"), [(1, False, MOST), (4, False, MOST), (4, True, MOST), (64, False, MOST_OF_64)]
)
@pytest.mark.parametrize("flows", [0, 65_536], ids=["no limits", "limits"])
def test_every_set_of_sizes_loads(members: int, is_traced: bool, most: int, flows: int, fib: Room | None) -> None:
    with loader.tried(maps.spec(Sizes(1024, 1_000_000, 1024, 64, 64, members, flows, fib), is_traced=is_traced)) as fds:
        for name in (maps.TC, maps.XDP):
            count = verified(fds[name])
            print(f"\n{name}, groups of {members}, {fib}: {count:,} instructions verified", end="")
            assert 100 < count <= max(most, MOST_WITH_LIMITS if flows else 0)
