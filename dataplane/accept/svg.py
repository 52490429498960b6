"""Small charts as inline SVG: a line over time, a bar for each flow, a ladder of percentiles. Pure text, no script."""

from collections.abc import Callable, Sequence
from html import escape
from math import floor, log10

WIDTH, HEIGHT = 620, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 78, 62, 16, 30
_TICKS = 4
_FAR_ABOVE = 2.5
"""A ceiling that is this much above everything would press the plot flat: it is said in words instead."""
_NARROW = 300
Scale = Callable[[float], float]
_BAR = 0.68
"""The part of its room that a bar takes."""


def nice_ceiling(value: float) -> float:
    """The next round number from a value on: 1, 2, 2.5, 4, 5 or 8 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** floor(log10(value))
    return next(step * power for step in (1, 2, 2.5, 4, 5, 8, 10) if step * power >= value * 0.9999)


def short(value: float) -> str:
    """``815M``, ``1.9M``, ``65k``."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def line_chart(
    points: Sequence[tuple[float, float]], ceiling: float | None, unit: str, title: str, last: float = 1.0
) -> str:
    """A rate over time.

    Args:
        points: seconds and values.
        ceiling: drawn as a dashed line where it is near enough.
        unit: of the values, for the axis.
        title: for whoever cannot see it.
        last: the second at which the axis ends, at the earliest.
    """
    highest = max((value for _, value in points), default=0.0)
    is_near = ceiling is not None and ceiling <= _FAR_ABOVE * highest
    top = nice_ceiling(max(highest, ceiling if ceiling is not None and is_near else 0.0))
    last = max([last, *(at for at, _ in points)])

    def x(at: float) -> float:
        return _LEFT + at / last * (WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return HEIGHT - _BOTTOM - value / top * (HEIGHT - _TOP - _BOTTOM)

    parts = [*_grid(top, unit), *_seconds_axis(last, x)]
    if points:
        line = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in points)
        base = f"{HEIGHT - _BOTTOM}"
        parts.append(
            f'<polygon class="area" points="{x(points[0][0]):.1f},{base} {line} {x(points[-1][0]):.1f},{base}"/>'
        )
        parts.append(f'<polyline class="line" points="{line}"/>')
        parts += [f'<circle class="dot" cx="{x(at):.1f}" cy="{y(value):.1f}" r="2.4"/>' for at, value in points]
    parts += _ceiling_line(ceiling, y, is_near)
    return _svg(WIDTH, HEIGHT, title, parts)


def bar_chart(bars: Sequence[tuple[str, float]], ceiling: float | None, unit: str, title: str) -> str:
    """A bar for each of a few things.

    Args:
        bars: labels and values.
        ceiling: of each; drawn as a dashed line where it is near enough.
    """
    highest = max((value for _, value in bars), default=0.0)
    is_near = ceiling is not None and ceiling <= _FAR_ABOVE * highest
    top = nice_ceiling(max(highest, ceiling if ceiling is not None and is_near else 0.0))
    width = max(_NARROW, WIDTH // 2)
    room = (width - _LEFT - _RIGHT) / max(len(bars), 1)

    def y(value: float) -> float:
        return HEIGHT - _BOTTOM - value / top * (HEIGHT - _TOP - _BOTTOM)

    parts = _grid(top, unit, width)
    for place, (label, value) in enumerate(bars):
        left = _LEFT + room * (place + (1 - _BAR) / 2)
        height = HEIGHT - _BOTTOM - y(value)
        shape = f'x="{left:.1f}" y="{y(value):.1f}" width="{room * _BAR:.1f}" height="{height:.1f}"'
        parts.append(
            f'<rect class="bar" {shape} rx="2"><title>{escape(label)}: {short(value)} {escape(unit)}</title></rect>'
        )
        parts.append(_text(left + room * _BAR / 2, HEIGHT - _BOTTOM + 15, escape(label), "tick middle"))
    parts += _ceiling_line(ceiling, y, is_near, width)
    return _svg(width, HEIGHT, title, parts)


def ladder(rungs: Sequence[tuple[str, float]], limit: float | None, title: str) -> str:
    """Round trips by percentile, on a scale of powers of ten, in milliseconds.

    Args:
        rungs: labels and values.
        limit: of the last but one; drawn as a dashed line.
    """
    values = [value for _, value in rungs if value > 0] + ([limit] if limit else [])
    low, high = floor(log10(min(values, default=1.0))), floor(log10(max(values, default=1.0))) + 1
    height = 34 * len(rungs) + 34
    label = 64

    def x(value: float) -> float:
        return label + (log10(max(value, 10.0**low)) - low) / (high - low) * (WIDTH - label - 110)

    parts = []
    for power in range(low, high + 1):
        at = x(10.0**power)
        parts.append(f'<line class="grid" x1="{at:.1f}" y1="6" x2="{at:.1f}" y2="{height - 26}"/>')
        parts.append(_text(at, height - 9, f"{10.0**power:g} ms", "tick middle"))
    for place, (name, value) in enumerate(rungs):
        top = 10 + 34 * place
        width = max(x(value) - label, 1.0)
        parts.append(_text(label - 10, top + 16, escape(name), "tick end"))
        parts.append(f'<rect class="bar" x="{label}" y="{top}" width="{width:.1f}" height="22" rx="2"/>')
        parts.append(_text(label + width + 8, top + 16, f"{value:.3g} ms", "value"))
    if limit:
        at = x(limit)
        parts.append(f'<line class="ceiling" x1="{at:.1f}" y1="6" x2="{at:.1f}" y2="{height - 26}"/>')
    return _svg(WIDTH, height, title, parts)


def meter(share: float | None) -> str:
    """A share of a ceiling as a small bar, full at 1; longer ones end in a notch of another colour."""
    if share is None:
        return ""
    inner = min(share, 1.0) * 96
    over = '<rect class="over" x="94" y="2" width="6" height="8" rx="1"/>' if share > 1 else ""
    rail = '<rect class="rail" x="2" y="2" width="96" height="8" rx="4"/>'
    bar = f'<rect class="bar" x="2" y="2" width="{inner:.1f}" height="8" rx="4"/>'
    return f'<svg class="meter" viewBox="0 0 100 12" aria-hidden="true">{rail}{bar}{over}</svg>'


def _grid(top: float, unit: str, width: int = WIDTH) -> list[str]:
    parts = []
    for tick in range(_TICKS + 1):
        y = HEIGHT - _BOTTOM - tick / _TICKS * (HEIGHT - _TOP - _BOTTOM)
        parts.append(f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{width - _RIGHT}" y2="{y:.1f}"/>')
        parts.append(_text(_LEFT - 8, y + 4, short(top * tick / _TICKS) if tick else "0", "tick end"))
    middle = (_TOP + HEIGHT - _BOTTOM) / 2
    parts.append(f'<text class="unit middle" transform="translate(15 {middle:.0f}) rotate(-90)">{escape(unit)}</text>')
    return parts


def _seconds_axis(last: float, x: Scale) -> list[str]:
    step = nice_ceiling(last / 10)
    ticks = [step * number for number in range(int(last / step + 1.001))]
    return [_text(x(at), HEIGHT - _BOTTOM + 16, f"{at:g} s", "tick middle") for at in ticks if at <= last]


def _ceiling_line(ceiling: float | None, y: Scale, is_near: bool, width: int = WIDTH) -> list[str]:
    if ceiling is None:
        return []
    if not is_near:
        return [_text(width - _RIGHT, _TOP - 5, f"ceiling {short(ceiling)}, far above", "mark end")]
    at = y(ceiling)
    line = f'<line class="ceiling" x1="{_LEFT}" y1="{at:.1f}" x2="{width - _RIGHT}" y2="{at:.1f}"/>'
    right = width - _RIGHT + 6
    return [line, _text(right, at - 2, "ceiling", "mark"), _text(right, at + 12, short(ceiling), "mark")]


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{text}</text>'


def _svg(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    head = f'<svg viewBox="0 0 {width} {height}" role="img"><title>{escape(title)}</title>'
    return f"{head}{''.join(parts)}</svg>"
