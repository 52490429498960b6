"""The prober process from its start to its end: rights, loop, and the end of the agent, which is its own (D3)."""

import gc
import os
import signal
import socket
import sys

from dataplane.health import privilege
from dataplane.health.control import Control
from dataplane.health.loop import Loop
from dataplane.health.outbox import AgentGone
from dataplane.health.wire import Hello


def run(channel_fd: int) -> int:
    """Probe until the agent's end of the channel is closed; the exit code.

    Verdicts stay where they were written: a prober that ends takes nothing down (D3).

    Raises:
        OSError: privileges could not be given up.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a person's Ctrl-C is for the agent, which closes the channel
    channel = socket.socket(fileno=channel_fd)
    channel.setblocking(False)
    words = privilege.take_what_is_needed()
    words += (privilege.drop_everything(),)
    loop = Loop(channel)
    control = Control(loop, channel)
    gc.disable()  # nothing in the loop makes cycles; Control looks for them when legs come or go
    gc.freeze()
    try:
        loop.outbox.tell(Hello(os.getpid(), words))
        while True:
            if loop.step():
                control.read()
    except AgentGone:
        return 0


def main() -> None:
    """``python -m dataplane.health DESCRIPTOR``: the last argument is the socket that the agent handed over."""
    sys.exit(run(int(sys.argv[-1])))
