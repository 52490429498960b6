"""What containerlab does with a ``clab.yml``, without containers: places, sysctls, cables, commands. To be run inside a
machine: ``python -m tests.lab.containers NAME`` prints the faults of the flows of topology NAME as JSON.

Of the lab's own code it takes what makes empty hosts and nodes, and what proves flows; nothing that builds.
"""

import contextlib
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pyroute2 import IPRoute

from lab import nodes, pins, runner, topology
from lab.host import opened, set_up
from lab.model import HOST_NAMESPACE
from lab.product import environment
from lab.syscalls import CLONE_NEWNET, in_network, setns
from lab.vlan import has_8021q, make_vlans

READY = "for i in $(seq 100); do dataplane agent --reload && exit; sleep 0.2; done; exit 1"


@dataclass(frozen=True)
class Containers:
    """A ``clab.yml`` that is being deployed.

    Args:
        enter: place -> what moves a child there.
        spaces: place -> open network namespace.
        bin: a folder with the command ``dataplane``.
    """

    wanted: topology.Topology
    file: Mapping[str, Any]
    enter: Mapping[str, Callable[[], None]]
    spaces: Mapping[str, int]
    bin: str

    def deploy(self) -> Iterator[subprocess.Popen[str]]:
        """Start what containers start; then cables, then commands."""
        specs = self.file["topology"]["nodes"]
        for name, spec in specs.items():
            with in_network(self.spaces[name]):
                for key, value in spec.get("sysctls", {}).items():
                    path = Path("/proc/sys", key.replace(".", "/"))
                    if path.exists() or "ipv6" not in key:
                        path.write_text(str(value))
            if "cmd" in spec:
                yield subprocess.Popen(
                    self._words(spec["cmd"], spec),
                    env=self._variables(spec),
                    stderr=subprocess.DEVNULL,
                    text=True,
                    preexec_fn=self.enter[name],
                )
        for link in self.file["topology"].get("links", ()):
            self._plug(*(end.split(":") for end in link["endpoints"]), link["mtu"])
        stand_in(self.wanted, self.spaces)
        for name, spec in specs.items():
            for line in spec.get("exec", ()):
                self.run(name, spec, line)
        for name in self.wanted.hosts:
            self.run(name, specs[name], shlex.join(["sh", "-c", READY]))

    def run(self, name: str, spec: Mapping[str, Any], line: str) -> None:
        words, variables = self._words(line, spec), self._variables(spec)
        done = subprocess.run(words, env=variables, capture_output=True, text=True, preexec_fn=self.enter[name])
        assert done.returncode == 0, f"{name}: {line}\n{done.stderr}"

    def _words(self, line: str, spec: Mapping[str, Any]) -> list[str]:
        """A command, with what is bound into the container where it is outside."""
        for bind in spec.get("binds", ()):
            outside, inside, _ = bind.split(":")
            line = line.replace(inside, str((self.wanted.folder / outside).resolve()))
        return shlex.split(line)

    def _variables(self, spec: Mapping[str, Any]) -> dict[str, str]:
        variables = environment(runner.hosts_of(self.wanted)[0])
        del variables["DATAPLANE_HOST"]
        return variables | {"PATH": f"{self.bin}:{variables['PATH']}"} | spec.get("env", {})

    def _plug(self, here: list[str], there: list[str], mtu: int) -> None:
        peer = {"ifname": there[1], "net_ns_fd": self.spaces[there[0]], "mtu": mtu}
        with in_network(self.spaces[here[0]]), IPRoute() as netlink:
            netlink.link("add", ifname=here[1], kind="veth", mtu=mtu, peer=peer)
        for place, ifname in (here, there):
            with in_network(self.spaces[place]):
                set_up(ifname)


def stand_in(wanted: topology.Topology, spaces: Mapping[str, int]) -> None:
    """Where the kernel has no 802.1Q: the VLANs of lines, as the lab makes them; commands then find them there."""
    if not has_8021q():
        lines = [(node.id, line.vlan) for node in wanted.surroundings.nodes for line in node.cpe]
        make_vlans(wanted.name, [(id, vlan) for id, vlan in lines if vlan.parent.place == id], spaces)


def _faults(name: str, say: Callable[[str], None]) -> dict[str, tuple[str, ...]]:
    wanted = topology.load(name)
    pins.begin(wanted.name, wanted.folder)
    hosts = runner.hosts_of(wanted)
    for host in hosts:
        host.make()
    nodes.pin_nodes(wanted.name, wanted.surroundings)
    with contextlib.ExitStack() as stack:
        bin = stack.enter_context(tempfile.TemporaryDirectory())
        command = Path(bin, "dataplane")
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m dataplane "$@"\n')
        command.chmod(0o755)
        around = stack.enter_context(nodes.opened_nodes(wanted.name, wanted.surroundings))
        own = {host.name: stack.enter_context(opened(host))[HOST_NAMESPACE] for host in hosts}
        enter = {host.name: host.enter for host in hosts} | {id: _enter(space) for id, space in around.items()}
        file = yaml.safe_load((wanted.folder / "clab.yml").read_text())
        for process in Containers(wanted, file, enter, {**around, **own}, bin).deploy():
            stack.callback(process.wait)
            stack.callback(process.terminate)
        say(f"{wanted.name} is deployed")
        results = runner.run_flows(wanted, hosts, None, around).results
        assert results, "a test without flows proves nothing"
        return {str(result.flow): result.faults for result in results if not result.passed}


def _enter(space: int) -> Callable[[], None]:
    return lambda: setns(space, CLONE_NEWNET)


if __name__ == "__main__":
    print(json.dumps(_faults(sys.argv[1], lambda text: print(text, file=sys.stderr))))
