"""The group ``forwarding``: its tables, and when it refuses to report."""

import json
import random
from collections import defaultdict
from pathlib import Path

import pytest

from lab.bench.forwarding import SIZES, _Bench
from lab.bench.forwarding_tables import AGAIN, FIB, LINUX, TC, TO_STACK, XDP, Samples, Scene, document, scenes, tables
from lab.bench.legs import OURS, PLAIN, Moved
from lab.bench.model import Context

MOVED = [Moved(OURS, 3, 300, 300, 0), Moved(PLAIN, 3, 300, 400, 100)]
FACTORS = {LINUX: 1.0, AGAIN: 1.02, FIB: 2.5, TC: 2.0, XDP: 6.0, TO_STACK: 1.5}


def samples(factors: dict[str, float] = FACTORS) -> Samples:
    found: Samples = defaultdict(list)
    for scene in scenes(SIZES):
        for name, factor in factors.items():
            found[scene, name] = [factor * 1e6, factor * 0.5e6, factor * 0.8e6]
    return found


def streams() -> Samples:
    found: Samples = defaultdict(list)
    for what in ("TCP stream", "UDP packets", "requests"):
        for name in (LINUX, AGAIN, TC):
            found[what, name] = [1e5 * (1.5 if name == TC else 1)]
    return found


def test_scenes() -> None:
    """Three routers with the small table only."""
    assert scenes((10, 20)) == [Scene(1, 10), Scene(1, 20), Scene(3, 10)]


def test_tables() -> None:
    """Ratios are of one round each: halved rounds leave no trace in them."""
    delivered = dict.fromkeys(samples(), 1.0)
    one, _, three, sockets, moved = tables(samples(), delivered, streams(), MOVED)
    assert one.rows[0] == (LINUX, "0.80", "1250", "1", "", "", "", "1.000")
    assert one.rows[4] == (XDP, "4.80", "208", "6.00", "6.00 to 6.00", "6.00", ">= 5", "1.000")
    assert [row[6] for row in three.rows] == ["", "", "", ">= 4", ">= 12", ""]
    assert sockets.rows[2] == ("TCP stream", TC, "Gbit/s", "0.0", "1.50", "1.50 to 1.50", "1.50", ">= 1.4")
    assert moved.rows == [(OURS, "3", "1.00", "0", "<= 1.01"), (PLAIN, "3", "1.33", "100", "")]


def test_document() -> None:
    """Every sample, and it can be written as JSON."""
    found = json.loads(json.dumps(document(samples(), dict.fromkeys(samples(), 1.0), streams(), MOVED)))
    assert len(found["packets_per_second"]) == 3 * len(FACTORS)
    assert found["packets_per_second"][4]["times_linux"]["median"] == 6
    assert found["moved_flows"][1]["strays"] == 100


@pytest.mark.parametrize(("again", "complaints"), [(1.04, 0), (0.96, 0), (1.06, 3), (0.94, 3)])
def test_noise(again: float, complaints: int) -> None:
    """Linux measured twice has to come out the same wherever it was measured."""
    bench = _Bench(Context(Path(), Path(), 3, 1, False, print), random.Random(1))
    bench.samples, bench.streams = samples({**FACTORS, AGAIN: again}), streams()
    assert len(bench.noise()) == complaints
