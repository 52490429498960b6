"""Lengths of time on the command line, written as in the configuration: ``500ms``, ``60s``, ``5m``."""

from collections.abc import Callable

import click

SECOND_MS = 1_000
_MINUTE_MS = 60_000


def duration_between(
    low: int, high: int, step: int = 1
) -> Callable[[click.Context, click.Parameter, str | None], int | None]:
    """The callback of an option that is a duration: from its text to milliseconds.

    Args:
        low: the shortest that is taken, in ms.
        high: the longest, in ms.
        step: what it must be a multiple of, in ms.
    """

    def read(ctx: click.Context, parameter: click.Parameter, text: str | None) -> int | None:
        if text is None:
            return None
        try:
            found = duration_ms(text)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
        if not low <= found <= high:
            raise click.BadParameter(f"{text} is not within {shown_ms(low)} to {shown_ms(high)}.")
        if found % step:
            raise click.BadParameter(f"{text} is not a multiple of {shown_ms(step)}.")
        return found

    return read


def duration_ms(text: str) -> int:
    """A duration in milliseconds, read as the configuration's are.

    Raises:
        ValueError: it is none; the message says what would be right.
    """
    # Late: `--help` has no time for the configuration's modules.
    from pydantic_core import PydanticCustomError

    from dataplane.config.values import parse_duration_ms

    try:
        return parse_duration_ms(text)
    except PydanticCustomError as error:
        remedy = (error.context or {}).get("remedy", "")
        raise ValueError(f"{error.message()}; {remedy}.") from None


def shown_ms(duration: int) -> str:
    """``500ms``, ``30s``, ``5m``: the shortest way to write milliseconds."""
    for unit, word in ((_MINUTE_MS, "m"), (SECOND_MS, "s")):
        if duration and duration % unit == 0:
            return f"{duration // unit}{word}"
    return f"{duration}ms"
