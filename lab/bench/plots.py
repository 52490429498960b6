"""A plot per target over size, as SVG: ours against the peer, quartiles, and the target's line (matplotlib)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab.bench.model import BenchError
from lab.bench.row import Row, in_order

_LEAST_POINTS = 2
_WIDTH, _HEIGHT = 6.4, 4.0


def lines(rows: Sequence[Row]) -> dict[str, dict[str, list[Row]]]:
    """Target -> line -> its points by size; those with two points at least, which is the least that makes a line."""
    found: dict[str, dict[str, list[Row]]] = {}
    for row in in_order(rows):
        if row.size is not None and row.ratios:
            found.setdefault(row.target_id, {}).setdefault(row.line, []).append(row)
    return {
        target: {line: sorted(points, key=lambda row: row.size or 0) for line, points in of_target.items()}
        for target, of_target in found.items()
        if any(len(points) >= _LEAST_POINTS for points in of_target.values())
    }


def draw(rows: Sequence[Row], folder: Path, origin: str) -> list[Path]:
    """Write ``T1.svg`` and so on.

    Args:
        origin: the machine, the versions and the day, below each plot.

    Returns:
        The files.

    Raises:
        BenchError: matplotlib is not installed.
    """
    plot = require()
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for target, of_target in lines(rows).items():
        figure, axes = plot.subplots(figsize=(_WIDTH, _HEIGHT))
        for line, points in of_target.items():
            _draw_line(axes, line, points)
        first = next(iter(of_target.values()))[0]
        axes.set_xscale("log")
        if not first.is_at_most:
            axes.set_ylim(bottom=0)
        axes.set_title(f"{target}: {first.measure.partition(', ')[0]}", fontsize=9)
        axes.set_ylabel(f"times {first.peer}" if first.unit == "x" else first.unit, fontsize=8)
        axes.set_xlabel("size", fontsize=8)
        axes.grid(visible=True, alpha=0.3)
        axes.legend(fontsize=7)
        figure.text(0.01, 0.005, origin, fontsize=3.5)
        file = folder / f"{target}.svg"
        figure.savefig(file, format="svg", bbox_inches="tight", metadata={"Date": None})
        plot.close(figure)
        files.append(file)
    return files


def _draw_line(axes: Any, line: str, points: Sequence[Row]) -> None:
    sizes = [row.size for row in points]
    quartiles = [row.quartiles for row in points]
    medians = [found.median for found in quartiles if found]
    spread = (
        [found.median - found.low for found in quartiles if found],
        [found.high - found.median for found in quartiles if found],
    )
    drawn = axes.errorbar(sizes, medians, yerr=spread, marker="o", capsize=3, label=line or "ours")
    targets = [(row.size, row.target) for row in points if row.target is not None]
    if targets:
        color = drawn.lines[0].get_color()
        axes.plot(*zip(*targets, strict=True), linestyle="none", marker="_", markersize=18, color=color, label="target")


def require() -> Any:
    """matplotlib's plotting, without a screen.

    Raises:
        BenchError: it is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise BenchError("plots need matplotlib: `scripts/bench` installs it; or leave --plots out") from error
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "dataplane"  # the same figures are the same file
    from matplotlib import pyplot

    return pyplot
