"""The rows and tables of the group ``forwarding``. Pure: samples in, rows out."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.bench.model import Table
from lab.bench.row import Row, size_word
from lab.bench.statistics import Quartiles, paired_ratios

LINUX, AGAIN = "Linux forwarding", "Linux, again"
TC, XDP, TO_STACK = "dataplane, tc", "dataplane, xdp", "dataplane, xdp, into the stack"
XDP_AGAIN = "dataplane, xdp, again"
ECMP = "dataplane, xdp, groups of two"
FIB = "xdp-forward's algorithm"
CEILING, FLOOR = "ceiling: a constant next hop", "floor: the generator alone"
_VARIANTS = (LINUX, AGAIN, FIB, TC, XDP, XDP_AGAIN, ECMP, TO_STACK, CEILING, FLOOR)
_COLUMNS = ("variant", "Mpps", "ns a packet", "times Linux", "quartiles", "best", "delivered")
_MEGA, _NANO = 1e6, 1e9


@dataclass(frozen=True, slots=True, order=True)
class Scene:
    """Where packets go through.

    Args:
        routers: on the way.
        routes: in the first one's table.
    """

    routers: int
    routes: int

    def __str__(self) -> str:
        if self.routers == 1:
            return f"one router with {self.routes:,} routes"
        return "three routers (VPC, VBR, VPC)"


Samples = dict[tuple[Scene, str], list[float]]
"""(scene, variant) -> packets a second, in each round."""

_T1: Mapping[int, float] = {1_000: 5, 100_000: 5, 1_000_000: 4.5}
_T2: Mapping[int, float] = {1_000: 1.5, 100_000: 2, 1_000_000: 2}
_T3: Mapping[int, float] = {1_000: 0.95, 100_000: 0.93, 1_000_000: 0.85}
"""Routes -> the target, where performance.md has one."""
_T1B: Mapping[str, float] = {XDP: 12, TC: 4}
_T2_NOTE = "ECMP (each route leads to a group of two legs), all counters and a cap for each flow on"


def scenes(sizes: Sequence[int]) -> list[Scene]:
    """Every one, in the order of the tables: three routers need the small network only."""
    return [*(Scene(1, size) for size in sizes), Scene(3, sizes[0])]


def rows(samples: Samples) -> list[Row]:
    """The rows of T1, T1b, T2 and T3, of what was measured."""
    return [row for scene in _places(samples) for row in _rows_of(scene, samples)]


def _rows_of(scene: Scene, samples: Samples) -> Iterator[Row]:
    size, routes = size_word(scene.routes), f"{scene.routes:,} routes"
    if scene.routers == 3:
        for name, word in ((XDP, "xdp"), (TC, "tc")):
            what = f"64-byte packets through three routers (VPC, VBR, VPC), {word}"
            yield from _row(f"T1b/{word}", what, scene, samples, name, LINUX, AGAIN, _T1B[name])
        return
    what = "64-byte packets through one router"
    for name, word, target in ((XDP, "xdp", _T1.get(scene.routes)), (TC, "tc", None)):
        id_ = f"T1/{size}" if name == XDP else f"T1/{size}/{word}"
        yield from _row(id_, f"{what}, {word}, at {routes}", scene, samples, name, LINUX, AGAIN, target, line=word)
    yield from _row(
        f"T2/{size}", f"{what}, xdp, ECMP, at {routes}", scene, samples, ECMP, FIB, XDP_AGAIN, _T2.get(scene.routes),
        note=_T2_NOTE,
    )  # fmt: skip
    yield from _row(
        f"T3/{size}", f"share of the ceiling, xdp, at {routes}", scene, samples, XDP, CEILING, XDP_AGAIN,
        _T3.get(scene.routes),
    )  # fmt: skip


def _row(
    id_: str,
    measure: str,
    scene: Scene,
    samples: Samples,
    name: str,
    peer: str,
    again: str,
    target: float | None,
    *,
    line: str = "",
    note: str = "",
) -> Iterator[Row]:
    """One row, where both were measured.

    Args:
        again: the variant that was measured twice.
    """
    if (scene, name) not in samples or (scene, peer) not in samples:
        return
    first = LINUX if again == AGAIN else XDP
    if (scene, again) not in samples:
        first, again = (LINUX, AGAIN) if (scene, AGAIN) in samples else (name, name)
    own, theirs = (_NANO / Quartiles.of(samples[scene, one]).median for one in (name, peer))
    if (scene, FLOOR) in samples:
        floor = _NANO / Quartiles.of(samples[scene, FLOOR]).median
        note = "; ".join(
            filter(None, (f"without the generator's {floor:.0f}: {(theirs - floor) / (own - floor):.2f} x", note))
        )
    yield Row(
        id_,
        measure,
        peer,
        tuple(paired_ratios(samples[scene, name], samples[scene, peer])),
        target,
        note="; ".join(filter(None, (f"{own:.0f} ns a packet beside {theirs:.0f}", note))),
        twins=tuple(paired_ratios(samples[scene, again], samples[scene, first])),
        size=scene.routes if scene.routers == 1 else None,
        line=line,
    )


def tables(samples: Samples, delivered: Mapping[tuple[Scene, str], float]) -> list[Table]:
    """Every variant, scene by scene."""
    return [
        Table(f"64-byte packets through {scene}", _COLUMNS, list(_variants(scene, samples, delivered)))
        for scene in _places(samples)
    ]


def document(samples: Samples, delivered: Mapping[tuple[Scene, str], float]) -> dict[str, Any]:
    """The same for programs, with every sample."""
    return {
        "packets_per_second": [
            {
                "routers": scene.routers,
                "routes": scene.routes,
                **_entry(samples, scene, name),
                "least_delivered": delivered[scene, name],
            }
            for scene, name in samples
        ],
    }


def _entry(samples: Mapping[tuple[Any, str], list[float]], where: Hashable, name: str) -> dict[str, Any]:
    own = samples[where, name]
    found = {"variant": name, **Quartiles.of(own).document(), "samples": own}
    if (where, LINUX) in samples:
        found["times_linux"] = Quartiles.of(paired_ratios(own, samples[where, LINUX])).document()
    return found


def _places(samples: Samples) -> list[Scene]:
    """Scenes, in the order of their first sample."""
    return list(dict.fromkeys(where for where, _ in samples))


def _variants(
    scene: Scene, samples: Samples, delivered: Mapping[tuple[Scene, str], float]
) -> Iterator[tuple[str, ...]]:
    for name in _VARIANTS:
        if (scene, name) in samples:
            rate = Quartiles.of(samples[scene, name]).median
            ratio = _ratio(samples, scene, name)
            yield (name, f"{rate / _MEGA:.2f}", f"{_NANO / rate:.0f}", *ratio, f"{delivered[scene, name]:.3f}")


def _ratio(samples: Samples, where: Scene, name: str) -> tuple[str, str, str]:
    """Times Linux: median, quartiles, best."""
    if name == LINUX or (where, LINUX) not in samples:
        return "1" if name == LINUX else "", "", ""
    ratios = paired_ratios(samples[where, name], samples[where, LINUX])
    found = Quartiles.of(ratios)
    return f"{found.median:.2f}", f"{found.low:.2f} to {found.high:.2f}", f"{max(ratios):.2f}"
