"""Instance to instance over VXLAN between two hosts, beside Linux (performance.md, T15).

A host is a sandbox of its own, with its own applied part of the same file; a veth is the underlay between the two.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address
from pathlib import Path

from lab.bench import sandbox, sockets, streams
from lab.bench.model import Context, Result
from lab.bench.row import Kind
from lab.bench.worlds import Way, World, run
from lab.child import child

TITLE = "a TCP stream, requests and small UDP packets from host to host over VXLAN"
ROUNDS, QUICK_ROUNDS = 15, 3
ROWS = {"T15": Kind.END_TO_END}

_GOALS = {"TCP stream": 1.2, "requests": 1.36, "UDP packets": 1.4}
_HOSTS = {"host-1": "172.20.0.11", "host-2": "172.20.0.12"}
_DEVICE = "under"
_MTU = 1600
_WAY = Way("dp-i-a", "dp-i-b", 2, "dp-vpc-one", IPv4Address("10.1.0.10"), IPv4Address("10.1.1.10"))
_HOOKS = {sockets.LINUX: "off", sockets.TC: "tc"}
_NOTE = (
    "VXLAN: one VPC on two hosts, which are sandboxes with a veth of MTU 1600 between them; both ends are at this "
    "machine's two processors. The kernel's VXLAN device puts headers on and takes them off in both variants; with "
    "`Linux` the routers on either side of it forward by the kernel, with `tc` by the forwarder."
)


def network(hook: str) -> str:
    """A VPC that spans two hosts, with an instance on each."""
    hosts = ", ".join(
        f"{name}: {{address: {address}, device: {_DEVICE}, mtu: {_MTU}}}" for name, address in _HOSTS.items()
    )
    return f"""version: 1
datapath: {{hook: {hook}}}
accounts: {{corp: {{uid: "1"}}}}
hosts: {{{hosts}}}
regions: {{here: {{zones: {{a: {{host: host-1}}, b: {{host: host-2}}}}}}}}
vpcs:
  one:
    account: corp
    region: here
    cidr: 10.1.0.0/16
    vswitches: {{sa: {{zone: a, cidr: 10.1.0.0/24}}, sb: {{zone: b, cidr: 10.1.1.0/24}}}}
    instances: {{a: {{vswitch: sa, ip: 10.1.0.10}}, b: {{vswitch: sb, ip: 10.1.1.10}}}}
"""


def _host() -> tuple[None, list[int]]:
    sandbox.enter()
    return None, []


@contextmanager
def joined(text: str, root: Path, folder: Path) -> Iterator[World]:
    """Two hosts with their parts of a network, gone at the end.

    Args:
        folder: for the file.

    Raises:
        BenchError: a part cannot be applied.
    """
    file = folder / "two-hosts.yaml"
    file.write_text(text, encoding="utf-8")
    with ExitStack() as stack:
        pids = [stack.enter_context(child(_host))[0] for _ in _HOSTS]
        first, second = pids
        inside = {pid: ("nsenter", f"--target={pid}", "--net", "--mount") for pid in pids}
        ends = f"{_DEVICE} mtu {_MTU} type veth peer name {_DEVICE} mtu {_MTU} netns {second}"
        run(*inside[first], "ip", "link", "add", *ends.split())
        for pid, address in zip(pids, _HOSTS.values(), strict=True):
            run(*inside[pid], "ip", "address", "add", f"{address}/24", "dev", _DEVICE)
            run(*inside[pid], "ip", "link", "set", _DEVICE, "up")
        places: dict[str, int] = {}
        for pid, name in zip(pids, _HOSTS, strict=True):
            command = [sys.executable, "-m", "dataplane", "apply", "--host", name, str(file)]
            run(*inside[pid], *command, env={"PYTHONPATH": str(root)})
            for instance in (_WAY.source, _WAY.destination):
                path = Path(f"/proc/{pid}/root/run/netns/{instance}")
                if path.exists():
                    places[instance] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                    stack.callback(os.close, places[instance])
        yield World(places, {})


def measure(context: Context) -> Result:
    """Every kind of traffic, in turns.

    Raises:
        BenchError: iperf3 is missing, or a network cannot be applied.
    """
    with ExitStack() as stack:
        found = {}
        for name, hook in _HOOKS.items():
            context.say(f"apply on two hosts, for: {name}")
            found[name] = stack.enter_context(joined(network(hook), context.root, context.folder))
        samples = sockets.race(context, found, _WAY)
    rows = sockets.rows("T15", "over VXLAN between two hosts, tc", samples, _GOALS)
    tables = [sockets.table("Sockets, over VXLAN between two hosts", samples)]
    return Result(sockets.document(samples), tables, (streams.NOTE, _NOTE), rows)
