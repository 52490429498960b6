"""A network applied to the sandbox by real rounds, and the tools to look at packets in it."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dataplane.agent.report import Report
from dataplane.agent.session import Session
from dataplane.config import Source, load_sources
from dataplane.kernel import netns
from dataplane.model import names
from tests.netns.objects import inside

ETH_P_ALL = 0x0003


def hooked(text: str, hook: str) -> str:
    """A network with the forwarder at a hook: ``tc``, ``xdp``, ``auto``; or ``off``, for what the kernel alone does."""
    assert "version: 1\n" in text
    return text.replace("version: 1\n", f"version: 1\ndatapath: {{hook: {hook}}}\n", 1)


class AppliedNetwork:
    """Applies texts one after the other to one host.

    Args:
        folder: for state and lock.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def session(self) -> Session:
        return Session(self.folder / "state", self.folder / "run")

    def apply(self, text: str) -> Report:
        return self.session().apply(load_sources([Source("network.yaml", text)]))

    def must_apply(self, text: str) -> Report:
        """Apply, and find that a second apply has nothing to do."""
        report = self.apply(text)
        assert report.is_done, [outcome.error for outcome in report.failures] + list(report.remaining)
        again = self.apply(text)
        assert again.planned.actions == ()
        return report

    def ping(self, source: str, destination: str, count: int = 1) -> bool:
        return inside(f"dp-i-{source}", "ping", "-c", str(count), "-i", "0.02", "-W", "1", destination).returncode == 0


def our_namespaces() -> list[str]:
    return netns.list_our_names()


@contextmanager
def listening_everywhere(*besides: str) -> Iterator[dict[str, list[bytes]]]:
    """Collect every frame that any interface in any namespace of ours receives or sends during the block.

    Args:
        besides: further namespaces to listen in.

    Yields:
        Namespace -> frames, filled when the block ends.
    """
    frames: dict[str, list[bytes]] = {}
    with ExitStack() as stack:
        sockets = {}
        for name in (*our_namespaces(), *besides):
            with netns.entered(name):
                listener = stack.enter_context(
                    socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
                )
            listener.setblocking(False)
            sockets[name] = listener
        yield frames
        time.sleep(0.05)
        for name, listener in sockets.items():
            frames[name] = list(_drain(listener))


def _drain(listener: socket.socket) -> Iterator[bytes]:
    while True:
        try:
            yield listener.recv(65536)
        except BlockingIOError:
            return


def is_arp(frame: bytes) -> bool:
    """Whether a frame is an ARP packet."""
    return frame[12:14] == b"\x08\x06"


def send_frame(instance: str, frame: bytes) -> None:
    """Send a frame as it is out of an instance's interface."""
    with netns.entered(names.instance_namespace(instance)):
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    with sender:
        sender.bind((names.INSTANCE_IFNAME, 0))
        sender.send(frame)


def netstat(namespace: str, counter: str) -> int:
    """A counter of /proc/net/netstat in a namespace, such as ``IPReversePathFilter``."""
    with netns.entered(namespace):
        lines = Path("/proc/thread-self/net/netstat").read_text().splitlines()
    for head, values in zip(lines[::2], lines[1::2], strict=True):
        found = dict(zip(head.split(), values.split(), strict=True))
        if counter in found:
            return int(found[counter])
    raise KeyError(counter)
