"""The forwarder's C and its mirror in Python say the same; no compiler and no root needed.

Structs are compared by the loader, which sees both sides (`layout.py`); here is what a compiler does not see.
"""

import re
from dataclasses import replace

from dataplane.datapath import flatten, limit_maps
from dataplane.datapath import forwarding_maps as maps
from dataplane.datapath.fib.layout import Room
from dataplane.datapath.forwarding_maps import Sizes
from dataplane.model import names
from dataplane.model.buckets import bucket_orders
from dataplane.model.forwarding import (
    BUCKETS,
    MAX_ROUTERS,
    REASONS,
    FibKind,
    Forwarding,
    Group,
    GroupMode,
    Hop,
    How,
    Leaf,
    LeafKind,
    LegState,
    Member,
    Reason,
    Verdict,
)
from dataplane.model.limit import BURST_NS, QUEUE_NS
from dataplane.model.shaper import FIRST_LEAF, FORWARDER_LEAVES

SIZES = Sizes(64, 1024, 64, 16, 16, 4)
MULTIBIT = Sizes(64, 0, 64, 16, 16, 4, fib=Room(1 << 12, 64, 256))
SPEC = maps.spec(SIZES)
LIMITED = maps.spec(replace(SIZES, flows=1024))
TRACED = maps.spec(SIZES, is_traced=True)
SOURCE = SPEC.source


def numbers(prefix: str, source: str = SOURCE) -> dict[str, int]:
    """Constants of the C with a prefix: of an enum or a define."""
    found = re.findall(rf"(?:#define )?\b{prefix}(\w+)(?: =)? (\d+|0x[0-9a-f]+)\b", source)
    return {name: int(number, 0) for name, number in found}


def reasons(source: str) -> dict[str, int]:
    body = source[source.index("enum dp_reason {") :].split("};")[0]
    return numbers("DP_", body)


def test_reasons_agree() -> None:
    """Name by name; and the ranges say the same on both sides."""
    assert reasons(SOURCE) == {reason.name: reason.value for reason in Reason}
    assert numbers("DP_REASONS") == {} and f"#define DP_REASONS {REASONS}\n" in SOURCE
    first = {verdict: min(reason for reason in Reason if reason.verdict is verdict) for verdict in Verdict}
    assert f"#define DP_FIRST_PASS {first[Verdict.PASS].value}\n" in SOURCE
    assert f"#define DP_FIRST_DROP {first[Verdict.DROP].value}\n" in SOURCE


def test_a_reason_too_many_is_seen() -> None:
    changed = SOURCE.replace("    DP_NO_PORT = 32,", "    DP_NO_PORT = 32,\n    DP_NEW = 50,")
    assert reasons(changed) != {reason.name: reason.value for reason in Reason}


def test_every_reason_has_words() -> None:
    assert all(reason.words for reason in Reason)
    assert len({reason.words for reason in Reason}) == len(Reason)


def test_constants_agree() -> None:
    hows = numbers("DP_HOW_")
    assert hows.pop("NONE") == 0
    assert hows == {how.name: how.value for how in How}
    assert numbers("DP_LEG_") == {state.name: state.value for state in LegState}
    leaves = {
        name: number for name, number in numbers("DP_LEAF_").items() if name in ("PASS", "DROP", "NEXTHOP", "GROUP")
    }
    assert leaves == {{LeafKind.HOP: "NEXTHOP"}.get(kind, kind.name): kind.value for kind in LeafKind}
    flags = {name.removeprefix("PORT_"): getattr(maps, name) for name in dir(maps) if name.startswith("PORT_")}
    assert numbers("DP_PORT_") == flags
    for name, value in (("BUCKETS", BUCKETS), ("MAX_ROUTERS", MAX_ROUTERS), ("IFINDEX_BASE", names.IFINDEX_BASE)):
        assert f"#define DP_{name} {value}" in SOURCE


def test_constants_of_limits_agree() -> None:
    """D4's burst and queue, and how a limit lies in a map."""
    assert f"#define DP_BURST_NS {BURST_NS}ULL" in SOURCE and f"#define DP_QUEUE_NS {QUEUE_NS}ULL" in SOURCE
    assert f"#define DP_WAYS {limit_maps.WAYS}\n" in SOURCE and f"#define DP_LEAVES {limit_maps.LEAVES} " in SOURCE
    assert f"#define DP_COST_SHIFT {limit_maps.COST_SHIFT}\n" in SOURCE
    assert f"#define DP_LEAF_CLASS {FIRST_LEAF:#010x} " in SOURCE and limit_maps.LEAVES >= FORWARDER_LEAVES
    assert "DP_LIMITS" not in SPEC.defines and LIMITED.defines["DP_FLOW_SETS"] == 256


def test_a_cost_is_the_time_of_a_byte() -> None:
    """R117: 1 Gbit/s by 12 is 96 ns a byte; D4: no limit is none, and none is so high that it becomes one."""
    assert limit_maps.cost(1_000_000_000 // 12) >> limit_maps.COST_SHIFT == 96
    assert limit_maps.cost(0) == 0 and limit_maps.cost(10**18) == 1


def test_a_leaf_is_read_back() -> None:
    for kind in LeafKind:
        for value in (1, 41, (1 << 28) - 1):
            assert Leaf.of(Leaf(kind, value).number) == Leaf(kind, value)
    assert Leaf.of(0) is None


def test_every_map_of_the_source_is_known() -> None:
    """What is not pinned is gone with the compiling process; names fit into the kernel's 15 characters."""
    declared = set(re.findall(r"^BPF_\w+\((?:\"\w+\", [^,]+, [^,]+, )?(dp_\w+)", SOURCE, re.M))
    assert declared == set(TRACED.maps) | set(LIMITED.maps) | set(maps.spec(MULTIBIT).maps)
    assert set(TRACED.maps) - set(SPEC.maps) == {"dp_trace"}
    assert set(LIMITED.maps) - set(SPEC.maps) == set(limit_maps.specs())
    assert all(len(name) <= 15 for name in (*declared, *TRACED.maps, *LIMITED.maps, *TRACED.programs))
    assert set(re.findall(r"^int (\w+)\(struct", SOURCE, re.M)) == set(SPEC.programs)


def test_one_text_with_every_header_and_true_line_numbers() -> None:
    assert '#include "lib/' not in SOURCE
    lines = SOURCE.splitlines()
    at = lines.index('#line 1 "ebpf/lib/fib.h"')
    assert lines[at + 1].startswith("/* The routes")
    back = next(line for line in lines[at + 1 :] if line.startswith("#line"))
    number = int(back.split()[1])
    original = flatten._read("datapath.c").splitlines()
    assert original[number - 2] == '#include "lib/fib.h"'


def test_sizes_follow_the_state_and_leave_room() -> None:
    """Powers of two, so that a few more routes are the same program."""
    assert Sizes.of(Forwarding(fib=FibKind.LPM)) == replace(SIZES, has_groups=False)
    assert Sizes.of(Forwarding()) == replace(MULTIBIT, has_groups=False)
    hops = {number: Hop(number, How.PEER) for number in (1, 64)}
    assert Sizes.of(Forwarding(hops=hops)).hops == 128
    group = Group(3, "", GroupMode.LOAD_BALANCE, tuple(Member(n, n) for n in range(1, 6)))
    grouped = Sizes.of(Forwarding(groups={3: group}))
    assert (grouped.members, grouped.has_groups) == (8, True)


def test_sizes_and_features_are_a_part_of_the_program() -> None:
    wider = maps.spec(Sizes(128, 1024, 64, 16, 16, 4))
    assert len({SPEC.fingerprint, TRACED.fingerprint, wider.fingerprint}) == 3
    assert "-DDP_TRACE=1" in TRACED.flags
    assert SPEC.types == {"dp_tc": 3, "dp_xdp": 6}  # BPF_PROG_TYPE_SCHED_CLS, BPF_PROG_TYPE_XDP


def test_a_group_of_64_is_shared_out_at_once_and_fairly() -> None:
    group = Group(1, "", GroupMode.LOAD_BALANCE, tuple(Member(n, n) for n in range(1, 65)))
    orders = bucket_orders(group)
    assert {orders[bucket][0] for bucket in range(BUCKETS)} == set(range(64))
    assert all(sorted(order) == list(range(64)) for order in orders)
