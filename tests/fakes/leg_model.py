"""What D1-D3 say about one leg, worked out from its whole history each time: slow, plain, and not the machine's way.

Nothing is remembered between two questions: the verdict is found by walking through everything that happened.
"""

from collections.abc import Sequence
from dataclasses import dataclass

SECOND = 1_000_000_000
MINUTE = 60 * SECOND


@dataclass(frozen=True)
class Happening:
    """One thing that happened.

    Args:
        what: ``reply``, ``miss``, ``late`` (a miss that was judged too late), ``lost`` or ``back`` (the carrier),
            ``up``, ``down`` or ``free`` (by hand).
        at: nanoseconds.
    """

    what: str
    at: int


@dataclass(frozen=True)
class Rules:
    """The keys of a health check."""

    fall: int
    rise: int
    hold_down: int
    damping: bool


def verdicts(history: Sequence[Happening], rules: Rules) -> list[str]:
    """What traffic may do after each happening: ``up`` or ``down``, hands included."""
    answers = []
    by_hand = ""
    for count in range(1, len(history) + 1):
        what = history[count - 1].what
        if what in ("up", "down", "free"):
            by_hand = "" if what == "free" else what
        answers.append(by_hand or _by_probes(history[:count], rules))
    return answers


def flips(history: Sequence[Happening], rules: Rules) -> list[int]:
    """The moments at which probes and carrier changed the verdict."""
    return _walk(history, rules)[1]


def _by_probes(history: Sequence[Happening], rules: Rules) -> str:
    return _walk(history, rules)[0]


def _walk(history: Sequence[Happening], rules: Rules) -> tuple[str, list[int]]:
    verdict, moments, held = "up", [], 0
    for place, now in enumerate(history):
        past = history[: place + 1]
        if verdict == "up" and (now.what == "lost" or (now.what == "miss" and _streak(past, "miss") >= rules.fall)):
            if now.what == "lost" and not _has_carrier(history[:place]):
                continue
            held = now.at + rules.hold_down
            if rules.damping and _flips_before(moments, now.at) >= 3:
                held = max(held, now.at + MINUTE)
            verdict = "down"
            moments.append(now.at)
        elif verdict == "down" and now.what == "reply" and _has_carrier(past):
            good = _good_since(past, moments)
            if good >= rules.rise and now.at >= held:
                if rules.damping and _flips_before(moments, now.at) >= 3:
                    held = max(held, now.at + MINUTE)
                else:
                    verdict = "up"
                    moments.append(now.at)
    return verdict, moments


def _streak(past: Sequence[Happening], what: str) -> int:
    """How many of these came last, in a row; what is neither reply nor miss does not interrupt."""
    count = 0
    for item in reversed([item for item in past if item.what in ("reply", "miss")]):
        if item.what != what:
            break
        count += 1
    return count


def _good_since(past: Sequence[Happening], moments: Sequence[int]) -> int:
    """Replies in a row with the carrier there, since the last miss, the last change of carrier or the last flip."""
    count = 0
    for place in range(len(past) - 1, -1, -1):
        item = past[place]
        is_return = item.what == "back" and not _has_carrier(past[:place])
        if item.what in ("miss", "lost") or is_return or (moments and item.at <= moments[-1]):
            break
        count += item.what == "reply"
    return count


def _has_carrier(past: Sequence[Happening]) -> bool:
    about = [item.what for item in past if item.what in ("lost", "back")]
    return not about or about[-1] == "back"


def _flips_before(moments: Sequence[int], now: int) -> int:
    return sum(now - moment < MINUTE for moment in moments)
