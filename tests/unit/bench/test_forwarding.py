"""The group ``forwarding`` and the race of sockets: their rows, tables and documents."""

import json
from collections import defaultdict
from pathlib import Path

import pytest

from lab.bench import sockets
from lab.bench.forwarding import SIZES, _Bench
from lab.bench.forwarding_tables import (
    AGAIN,
    CEILING,
    ECMP,
    FIB,
    FLOOR,
    LINUX,
    TC,
    TO_STACK,
    XDP,
    XDP_AGAIN,
    Samples,
    Scene,
    document,
    rows,
    scenes,
    tables,
)
from lab.bench.legs import OURS, PLAIN, RESILIENT, Moved
from lab.bench.legs import rows as leg_rows
from lab.bench.model import Context
from lab.bench.row import Verdict

FACTORS = {LINUX: 1.0, AGAIN: 1.02, FIB: 2.5, TC: 2.0, XDP: 6.0, XDP_AGAIN: 6.1, ECMP: 5.0, TO_STACK: 1.5, CEILING: 6.2}
WHAT = ("TCP stream", "UDP packets", "requests")


def samples(factors: dict[str, float] = FACTORS) -> Samples:
    found: Samples = defaultdict(list)
    for scene in scenes(SIZES):
        for name, factor in factors.items():
            found[scene, name] = [factor * 1e6, factor * 0.5e6, factor * 0.8e6]
    return found


def streams() -> sockets.Samples:
    rates = {sockets.LINUX: 1e5, sockets.AGAIN: 0.85e5, sockets.TC: 1.5e5}
    return {(what, name): [rate] * 3 for what in WHAT for name, rate in rates.items()}


def test_scenes() -> None:
    """Three routers with the small table only."""
    assert scenes((10, 20)) == [Scene(1, 10), Scene(1, 20), Scene(3, 10)]


def test_rows() -> None:
    """Each of its own peer, with performance.md's target; ratios are of one round: halved rounds leave no trace."""
    found = {row.id: row for row in rows(samples())}
    sizes = ("1k", "100k", "1M")
    assert set(found) == {f"T{n}/{size}" for n in (1, 2, 3) for size in sizes} | {f"T1/{size}/tc" for size in sizes} | {
        "T1b/xdp",
        "T1b/tc",
    }
    assert [found[f"T1/{size}"].target for size in sizes] == [5, 5, 4.5]
    assert found["T1/1k"].ratios == (6, 6, 6)
    assert found["T2/1k"].ratios == (2, 2, 2)
    assert found["T3/1M"].ratios == pytest.approx([6.0 / 6.2] * 3)
    verdicts = {id_: found[id_].verdict for id_ in ("T1/1k", "T1/1k/tc", "T1b/xdp", "T2/1M", "T3/1k")}
    assert verdicts == {
        "T1/1k": Verdict.PASS,
        "T1/1k/tc": Verdict.SHOWN,
        "T1b/xdp": Verdict.FAIL,
        "T2/1M": Verdict.PASS,
        "T3/1k": Verdict.PASS,
    }
    assert all(row.twins for row in found.values())


def test_the_generator_is_named() -> None:
    """Its cost is in every ratio, and beside it in words what it would be without (1250 - 125) / (208 - 125)."""
    found = {row.id: row for row in rows(samples({**FACTORS, FLOOR: 10.0}))}
    assert found["T1/1k"].ratios == (6, 6, 6)
    assert "208 ns a packet beside 1250; without the generator's 125: 13.50 x" in found["T1/1k"].note


def test_rows_of_a_part() -> None:
    """A row whose peer was not measured is not there."""
    assert {row.target_id for row in rows(samples({LINUX: 1, AGAIN: 1, XDP: 5, TC: 2}))} == {"T1", "T1b"}
    assert {row.target_id for row in rows(samples({XDP: 5, XDP_AGAIN: 5, CEILING: 6, FLOOR: 9}))} == {"T3"}


@pytest.mark.parametrize(("again", "is_noisy"), [(1.04, False), (0.96, False), (1.06, True), (0.94, True)])
def test_noise(again: float, is_noisy: bool) -> None:
    """Linux measured twice has to come out the same, or a row that rests on it says nothing."""
    found = {row.id: row.verdict for row in rows(samples({**FACTORS, AGAIN: again}))}
    assert (found["T1/1k"] is Verdict.NOISY) == is_noisy
    assert found["T2/1k"] is Verdict.PASS


def test_tables() -> None:
    """Every variant beside Linux, where that was measured."""
    one, *_, three = tables(samples(), dict.fromkeys(samples(), 1.0))
    assert one.rows[0] == (LINUX, "0.80", "1250", "1", "", "", "1.000")
    assert one.rows[4] == (XDP, "4.80", "208", "6.00", "6.00 to 6.00", "6.00", "1.000")
    assert "three routers" in three.title
    alone = samples({XDP: 6.0})
    assert tables(alone, dict.fromkeys(alone, 1.0))[0].rows == [(XDP, "4.80", "208", "", "", "", "1.000")]


def test_document() -> None:
    """Every sample, and it can be written as JSON."""
    found = json.loads(json.dumps(document(samples(), dict.fromkeys(samples(), 1.0))))
    assert len(found["packets_per_second"]) == len(scenes(SIZES)) * len(FACTORS)
    assert found["packets_per_second"][4]["times_linux"]["median"] == 6


@pytest.mark.parametrize(
    ("target", "routers", "names"),
    [
        ("T1b", 3, {LINUX, AGAIN, TC, XDP, FLOOR}),
        ("T1b", 1, set()),
        ("T3", 1, {XDP, XDP_AGAIN, CEILING, FLOOR}),
        ("T2", 3, set()),
    ],
)
def test_only_what_a_row_needs_is_measured(target: str, routers: int, names: set[str]) -> None:
    """Each row alone works."""
    bench = _Bench(Context(Path(), Path(), 3, 1, False, frozenset({target}), print), None)  # type: ignore[arg-type]
    assert set(bench._names(Scene(routers, SIZES[0]))) == names


def test_rows_of_sockets() -> None:
    """Linux measured twice may differ by a tenth."""
    found = sockets.rows("T14", "somewhere", streams(), dict.fromkeys(WHAT, 1.4))
    assert [(row.id, row.verdict) for row in found] == [
        ("T14/stream", Verdict.NOISY),
        ("T14/udp", Verdict.NOISY),
        ("T14/requests", Verdict.NOISY),
    ]
    quiet = {
        key: [1.0] if key[1] == sockets.AGAIN else [rate / 1e5 for rate in rates[:1]]
        for key, rates in streams().items()
    }
    (row,) = sockets.rows("T14", "somewhere", quiet, {"requests": 1.4})
    assert (row.ratios, row.verdict) == ((1.5,), Verdict.PASS)


def test_rows_of_legs() -> None:
    """Ours against the ideal, the kernel's in words."""
    three = [Moved(OURS, 3, 300, 300, 0), Moved(PLAIN, 3, 300, 400, 100), Moved(RESILIENT, 3, 300, 300, 0)]
    (row,) = leg_rows(three)
    assert (row.id, row.ratios, row.verdict) == ("T10/3", (1.0,), Verdict.PASS)
    assert "kernel, plain group 1.33" in row.note
    (worse,) = leg_rows([Moved(OURS, 3, 300, 306, 6), *three[1:]])
    assert worse.verdict is Verdict.FAIL
