"""How exact limits are on real streams (T12): what one flow of UDP and of TCP gets of its cap, at each hook.

A network of its own, applied as a user would: two VPCs behind a border router, one connection with a bandwidth. Counted
at the receiver's interface, in bytes of IP. A large packet arrives there whole, with the headers of one segment: so
TCP at tc, whose limit counts those of each, comes out at most at 0.965.
"""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dataplane.agent.session import Session
from dataplane.cli.context import DEFAULT_RUN, DEFAULT_STATE
from dataplane.config import Source, load_sources
from dataplane.kernel import netns
from lab.bench import sandbox
from lab.bench.model import BenchError
from lab.bench.row import Kind, Row
from lab.child import in_child

CAP_BITS_S = 1_000_000_000 // 12
_SENDER, _RECEIVER, _TARGET = "dp-i-inside", "dp-i-outside", "10.0.1.10"
_IPERF = "iperf3"
_BURST_S, _WINDOW_S = 1.0, 1.0
_ETHERNET_BYTES = 14
_LEAST_TCP, _MOST_WRONG = 0.9, 0.01
_STREAMS = {
    "udp": ("--udp", "--bitrate", "200M", "--length", "1400"),
    "cubic": ("--congestion", "cubic"),
    "bbr": ("--congestion", "bbr"),
}
_TEXT = """version: 1
datapath: {{hook: {hook}}}
accounts: {{corp: {{uid: '1'}}}}
regions: {{r: {{zones: {{a: {{}}}}}}}}
access_points: {{ap: {{region: r}}}}
vpcs:
  near:
    account: corp
    region: r
    cidr: 192.168.0.0/16
    vswitches: {{vsw-n: {{zone: a, cidr: 192.168.1.0/24}}}}
    instances: {{inside: {{vswitch: vsw-n, ip: 192.168.1.10}}}}
    route_tables: {{system: {{routes: [{{destination: 10.0.0.0/16, next_hop: {{router_interface: ri-n}}}}]}}}}
  far:
    account: corp
    region: r
    cidr: 10.0.0.0/16
    vswitches: {{vsw-f: {{zone: a, cidr: 10.0.1.0/24}}}}
    instances: {{outside: {{vswitch: vsw-f, ip: 10.0.1.10}}}}
    route_tables: {{system: {{routes: [{{destination: 192.168.0.0/16, next_hop: {{router_interface: ri-f}}}}]}}}}
physical_connections: {{pc: {{account: corp, access_point: ap, device: wire0}}}}
vbrs:
  vbr:
    account: corp
    physical_connection: pc
    vlan: 9
    local_ip: 10.10.10.1/30
    peer_ip: 10.10.10.2
    transit: true
    routes:
      - {{destination: 192.168.0.0/16, next_hop: {{router_interface: ri-v}}}}
      - {{destination: 10.0.0.0/16, next_hop: {{router_interface: ri-w}}}}
peering_connections:
  pcx-1:
    bandwidth: 1Gbps
    initiator: {{router_interface: ri-v, vbr: vbr}}
    acceptor: {{router_interface: ri-n, vpc: near}}
  pcx-2: {{initiator: {{router_interface: ri-w, vbr: vbr}}, acceptor: {{router_interface: ri-f, vpc: far}}}}
"""


def measure_accuracy(rounds: int, is_quick: bool) -> list[Row]:
    """T12, at tc and in the driver.

    Args:
        rounds: windows of a second for each stream.
        is_quick: TCP by cubic only.

    Raises:
        BenchError: iperf3 is missing, or a stream failed.
    """
    if shutil.which(_IPERF) is None:
        raise BenchError("T12 needs iperf3; scripts/setup installs it")
    wanted = ("udp", "cubic") if is_quick else tuple(_STREAMS)
    rows, _ = in_child(lambda: (_in_sandbox(wanted, rounds), []))
    return rows


def _in_sandbox(streams: tuple[str, ...], rounds: int) -> list[Row]:
    sandbox.enter()
    return [row for hook in ("tc", "xdp") for row in _at(hook, streams, rounds)]


def _at(hook: str, streams: tuple[str, ...], rounds: int) -> list[Row]:
    with _applied(hook):
        return [_row(hook, stream, _shares(stream, rounds)) for stream in streams]


def _row(hook: str, stream: str, shares: list[float]) -> Row:
    found = ", ".join(f"{share:.3f}" for share in shares)
    note = f"share of {CAP_BITS_S / 1e6:.1f} Mbit/s, second by second: {found}"
    if stream == "udp":
        wrong = tuple(abs(share - 1) for share in shares)
        what = f"UDP, how far from its cap over 1 s, {hook}"
        return Row(f"T12/udp {hook}", what, "the cap", wrong, _MOST_WRONG, True, "of 1", note, Kind.COUNTED)
    what = f"TCP ({stream}), share of its cap, {hook}"
    return Row(f"T12/{stream} {hook}", what, "the cap", tuple(shares), _LEAST_TCP, False, "x", note, Kind.COUNTED)


@contextmanager
def _applied(hook: str) -> Iterator[None]:
    """The network at a hook."""
    subprocess.run(("ip", "link", "add", "wire0", "type", "veth", "peer", "name", "wire1"), check=True)
    session = Session(DEFAULT_STATE, DEFAULT_RUN)
    try:
        report = session.apply(load_sources([Source("accuracy.yaml", _TEXT.format(hook=hook))]))
        if not report.is_done:
            raise BenchError(f"the network with limits could not be applied: {report.failures}")
        yield
        session.destroy()
    finally:
        subprocess.run(("ip", "link", "delete", "wire0"), check=False)


def _shares(stream: str, rounds: int) -> list[float]:
    """What a flow gets of its cap in each of some seconds, once its burst is spent."""
    with netns.entered(_RECEIVER):
        server = subprocess.Popen((_IPERF, "-s", "-1", "--forceflush"), stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        while "listening" not in (server.stdout.readline() or "listening"):
            continue
        with netns.entered(_SENDER):
            command = (_IPERF, "-c", _TARGET, "-t", str(2 * rounds + 10), *_STREAMS[stream])
            client = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            time.sleep(_BURST_S)
            found = [_share() for _ in range(rounds)]
            if client.poll() is not None:
                raise BenchError(f"iperf3 ended early ({stream})")
            return found
        finally:
            client.kill()
            client.wait()
    finally:
        server.kill()
        server.wait()


def _share() -> float:
    before, began = _received()
    time.sleep(_WINDOW_S)
    after, ended = _received()
    return (after - before) * 8 / (ended - began) / CAP_BITS_S


def _received() -> tuple[int, float]:
    """Bytes of IP that have come in at the receiver, and when."""
    with netns.entered(_RECEIVER):
        lines = Path("/proc/thread-self/net/dev").read_text(encoding="ascii").splitlines()[2:]
        now = time.monotonic()
    figures = [line.split(":")[1].split() for line in lines if not line.strip().startswith("lo:")]
    return sum(int(line[0]) - _ETHERNET_BYTES * int(line[1]) for line in figures), now
