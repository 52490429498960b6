"""The same network several times over, each in a sandbox of its own, with another forwarder: they can be interleaved.

A world is made by the product's own ``apply`` and stays as it is. This process goes into its namespaces by descriptor.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from dataplane.datapath import bpffs, libbpf
from dataplane.model import names
from lab.bench import networks, sandbox
from lab.bench.live import Start
from lab.bench.loads import Load, give
from lab.bench.model import BenchError
from lab.child import child
from lab.syscalls import in_network

_NAMESPACES = Path("/run/netns")
_PROGRAM, _CEILING = "dp_xdp", "ceiling"


@dataclass(frozen=True, slots=True)
class Way:
    """From one instance to another one.

    Args:
        routers: that lie between them.
        router: the first one's namespace.
    """

    source: str
    destination: str
    routers: int
    router: str
    source_ip: IPv4Address
    destination_ip: IPv4Address


ONE = Way("dp-i-a", "dp-i-b", 1, "dp-vpc-one", IPv4Address("10.1.0.10"), IPv4Address("10.1.1.10"))
THREE = Way("dp-i-c", "dp-i-d", 3, "dp-vpc-near", IPv4Address("10.2.0.10"), IPv4Address("10.3.0.10"))


@dataclass(frozen=True, slots=True)
class World:
    """An applied network.

    Args:
        places: namespace -> its descriptor.
        links: namespace -> its devices, as ``ip -json link`` shows them.
        program: the forwarder's XDP program where it is attached; None elsewhere.
        ceiling: the same with a constant next hop, where one was asked for.
    """

    places: Mapping[str, int]
    links: Mapping[str, list[dict[str, Any]]]
    program: int | None = None
    ceiling: int | None = None

    def device(self, place: str, ifindex: int | None = None) -> dict[str, Any]:
        """A device by its number; the instance's own one where none is said."""
        for link in self.links[place]:
            if (ifindex is None and link["ifname"] == names.INSTANCE_IFNAME) or link["ifindex"] == ifindex:
                return link
        raise BenchError(f"{place} has no device {ifindex or names.INSTANCE_IFNAME}")

    def router_ports(self) -> Iterator[tuple[str, int]]:
        """Namespace and ifindex of each port of each router."""
        for place, links in self.links.items():
            if place.startswith(("dp-vpc-", "dp-vbr-")):
                yield from ((place, link["ifindex"]) for link in links if link["ifname"].startswith(("dpi", "dpr")))

    def start(self, way: Way, program: int | None) -> Start:
        """As if a frame of the source had just come into the router's port."""
        own = self.device(way.source)
        port = self.device(way.router, own["link_index"])
        macs = bytes.fromhex((port["address"] + own["address"]).replace(":", ""))
        return Start(port["ifindex"], macs, way.source_ip.packed, program)

    @contextmanager
    def inside(self, place: str) -> Iterator[None]:
        """This thread in a namespace."""
        with in_network(self.places[place]):
            yield


@contextmanager
def made(text: str, root: Path, load: Load | None = None) -> Iterator[World]:
    """Apply a network in a sandbox of its own; it is gone at the end.

    Args:
        load: what it gets beyond its file.

    Raises:
        BenchError: it cannot be applied.
    """
    with child(_work(text, root, load)) as (_, (links, programs), descriptors), ExitStack() as stack:
        for descriptor in descriptors:
            stack.callback(os.close, descriptor)
        found = dict(zip((*links, *programs), descriptors, strict=True))
        places = {name: found[name] for name in links}
        yield World(places, links, found.get(_PROGRAM), found.get(_CEILING))


_Links = dict[str, list[dict[str, Any]]]


def _work(text: str, root: Path, load: Load | None) -> Callable[[], tuple[tuple[_Links, list[str]], list[int]]]:
    def work() -> tuple[tuple[_Links, list[str]], list[int]]:
        sandbox.enter()
        run("ip", "link", "add", networks.LINE_DEVICE, "type", "veth", "peer", "name", "far-line")
        file = Path("/run/dataplane/network.yaml")
        file.write_text(text, encoding="utf-8")
        run(sys.executable, "-m", "dataplane", "apply", str(file), cwd=root)
        ceiling = give(load) if load is not None else None
        links: _Links = {}
        descriptors = []
        for path in sorted(_NAMESPACES.iterdir()):
            links[path.name] = json.loads(run("ip", "-n", path.name, "-json", "link"))
            descriptors.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        programs = []
        if any(link.get("xdp") for found in links.values() for link in found):
            (pin,) = bpffs.folder().glob(f"datapath-*/{_PROGRAM}")
            programs.append(_PROGRAM)
            descriptors.append(libbpf.open_pinned(pin))
        if ceiling is not None:
            programs.append(_CEILING)
            descriptors.append(ceiling)
        return (links, programs), descriptors

    return work


def run(*command: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """One command, to its end.

    Args:
        env: variables beside those that there are.

    Raises:
        BenchError: it failed; with the end of what it said.
    """
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise BenchError(f"`{' '.join(command)}` failed with {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
    return done.stdout
