"""``dataplane top`` on a terminal: one screen that is drawn anew at each look, until q.

Owns the terminal's mode, which it gives back however it ends.
"""

import os
import queue
import select
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.text import Text

from dataplane.cli.output import drawn
from dataplane.cli.top_text import NO_FLOWS, ORDERS, Order, top_sections

if TYPE_CHECKING:
    from dataplane.observe.top import Top

_KEY_SECONDS = 0.1
_QUIT = frozenset("qQ\x1b")
_KEYS = "q quits; " + ", ".join(f"{order[0]} sorts by {order}" for order in ORDERS)


def show_live(tops: "Iterator[Top]", order: Order) -> None:
    """Draw each look until q, or control-C.

    Args:
        order: what comes first; its first letter chooses another one.

    Raises:
        Exception: whatever taking a look raises.
    """
    came: queue.SimpleQueue[Top | BaseException] = queue.SimpleQueue()
    threading.Thread(target=_feed, args=(tops, came), daemon=True).start()
    console = Console()
    found: Top | None = None
    with _keys() as keys, Live(console=console, screen=True, auto_refresh=False) as live:
        live.update(Text("looking ..."), refresh=True)
        for key in keys:
            if key in _QUIT:
                return
            chosen = next((one for one in ORDERS if one[0] == key), None)
            order = chosen or order
            if not came.empty():
                item = came.get()
                if isinstance(item, BaseException):
                    raise item
                found, chosen = item, order
            if chosen is not None and found is not None:
                live.update(_screen(found, order), refresh=True)


def _feed(tops: "Iterator[Top]", came: "queue.SimpleQueue[Top | BaseException]") -> None:
    """Take looks in a thread of its own: a key is not to wait for them."""
    try:
        for found in tops:
            came.put(found)
    except BaseException as error:
        came.put(error)


def _screen(found: "Top", order: Order) -> Text:
    head = f"dataplane top  {datetime.now():%H:%M:%S}  sorted by {order}  ({_KEYS})"
    sections = [head, *top_sections(found, order)]
    if found.flows_seen is None:
        sections += ["", NO_FLOWS]
    return Text.from_ansi(drawn(sections), no_wrap=True, overflow="ellipsis")


@contextmanager
def _keys() -> Iterator[Iterator[str]]:
    """Keys as they are pressed, and an empty text now and then; none where stdin is no terminal."""
    if not sys.stdin.isatty():
        yield _silence()
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield _pressed()
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _pressed() -> Iterator[str]:
    while True:
        is_ready = select.select([sys.stdin], [], [], _KEY_SECONDS)[0]
        yield os.read(sys.stdin.fileno(), 1).decode("ascii", "replace") if is_ready else ""


def _silence() -> Iterator[str]:
    pause = threading.Event()
    while True:
        pause.wait(_KEY_SECONDS)
        yield ""
