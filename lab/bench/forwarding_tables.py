"""The tables of the group ``forwarding``. Pure: samples in, rows out."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lab.bench.legs import OURS, Moved
from lab.bench.model import Table
from lab.bench.statistics import Quartiles, paired_ratios

LINUX, AGAIN = "Linux forwarding", "Linux, again"
TC, XDP, TO_STACK = "dataplane, tc", "dataplane, xdp", "dataplane, xdp, into the stack"
FIB = "xdp-forward's algorithm"
_VARIANTS = (LINUX, AGAIN, FIB, TC, XDP, TO_STACK)
_STREAMS = (LINUX, AGAIN, TC)
_COLUMNS = ("variant", "Mpps", "ns a packet", "times Linux", "quartiles", "best", "goal", "delivered")
_STREAM_COLUMNS = ("what", "variant", "unit", "median", "times Linux", "quartiles", "best", "goal")
_MOVED_COLUMNS = ("group", "legs", "moved, times ideal", "of legs that stayed", "goal")
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


Samples = dict[tuple[Any, str], list[float]]
"""(scene or kind of stream, variant) -> how many in a second, in each round."""

GOALS: Mapping[tuple[int, str], float] = {(1, XDP): 5, (3, XDP): 12, (3, TC): 4}
"""(routers, variant) -> times Linux (performance.md, T1, T1b)."""
STREAM_GOALS: Mapping[str, float] = {"TCP stream": 1.4, "requests": 1.5, "UDP packets": 1.6}
"""T14: times Linux, through three routers."""
MOVED_GOAL = 1.01
"""T10: times the flows of the leg that goes."""
_UNITS = {"TCP stream": ("Gbit/s", 1e9), "requests": ("thousand/s", 1e3), "UDP packets": ("thousand/s", 1e3)}


def scenes(sizes: Sequence[int]) -> list[Scene]:
    """Every one, in the order of the tables: three routers need the small network only."""
    return [*(Scene(1, size) for size in sizes), Scene(3, sizes[0])]


def tables(
    samples: Samples, delivered: Mapping[tuple[Scene, str], float], streams: Samples, moved: Sequence[Moved]
) -> list[Table]:
    """All tables."""
    found = [
        Table(f"64-byte packets through {scene}", _COLUMNS, list(_rows(scene, samples, delivered)))
        for scene in _places(samples)
    ]
    return [
        *found,
        Table("Sockets, through three routers", _STREAM_COLUMNS, list(_stream_rows(streams))),
        Table("Flows that move when one leg goes", _MOVED_COLUMNS, list(_moved_rows(moved))),
    ]


def document(
    samples: Samples, delivered: Mapping[tuple[Scene, str], float], streams: Samples, moved: Sequence[Moved]
) -> dict[str, Any]:
    """The same for programs, with every sample."""
    return {
        "packets_per_second": [
            {
                "routers": scene.routers,
                "routes": scene.routes,
                **_entry(samples, scene, name),
                "least_delivered": delivered[scene, name],
                "goal": GOALS.get((scene.routers, name)),
            }
            for scene, name in samples
        ],
        "streams": [
            {"what": what, **_entry(streams, what, name), "goal": STREAM_GOALS[what] if name == TC else None}
            for what, name in streams
        ],
        "moved_flows": [asdict(one) for one in moved],
    }


def _entry(samples: Samples, where: Hashable, name: str) -> dict[str, Any]:
    own = samples[where, name]
    ratios = Quartiles.of(paired_ratios(own, samples[where, LINUX]))
    return {"variant": name, **Quartiles.of(own).document(), "times_linux": ratios.document(), "samples": own}


def _places(samples: Samples) -> list[Any]:
    """Scenes or kinds of streams, in the order of their first sample."""
    return list(dict.fromkeys(where for where, _ in samples))


def _rows(scene: Scene, samples: Samples, delivered: Mapping[tuple[Scene, str], float]) -> Iterator[tuple[str, ...]]:
    for name in _VARIANTS:
        rate = Quartiles.of(samples[scene, name]).median
        goal = GOALS.get((scene.routers, name))
        yield (
            name,
            f"{rate / _MEGA:.2f}",
            f"{_NANO / rate:.0f}",
            *_ratio(samples, scene, name),
            f">= {goal:g}" if goal else "",
            f"{delivered[scene, name]:.3f}",
        )


def _stream_rows(streams: Samples) -> Iterator[tuple[str, ...]]:
    for what in _places(streams):
        unit, size = _UNITS[what]
        for name in _STREAMS:
            median = Quartiles.of(streams[what, name]).median / size
            goal = f">= {STREAM_GOALS[what]:g}" if name == TC else ""
            yield (what, name, unit, f"{median:.1f}", *_ratio(streams, what, name), goal)


def _moved_rows(moved: Sequence[Moved]) -> Iterator[tuple[str, ...]]:
    for one in moved:
        goal = f"<= {MOVED_GOAL:g}" if one.name == OURS else ""
        yield one.name, str(one.count), f"{one.moved / one.due:.2f}", f"{one.strays:,}", goal


def _ratio(samples: Samples, where: Hashable, name: str) -> tuple[str, str, str]:
    """Times Linux: median, quartiles, best."""
    if name == LINUX:
        return "1", "", ""
    ratios = paired_ratios(samples[where, name], samples[where, LINUX])
    found = Quartiles.of(ratios)
    return f"{found.median:.2f}", f"{found.low:.2f} to {found.high:.2f}", f"{max(ratios):.2f}"
