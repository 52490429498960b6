"""A machine to try labs on, and small topologies to try on it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import pins
from lab.child import in_child
from lab.host import SimulatedHost
from lab.model import lab_name, node_namespace
from lab.product import environment

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Machine:
    """A machine of its own, inside which commands run."""

    host: SimulatedHost

    def run(self, *command: str, check: bool = True, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            env=environment(self.host) | {"NO_COLOR": "1"},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            preexec_fn=self.host.enter,
        )
        if check:
            assert done.returncode == 0, f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def popen(self, *command: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, env=environment(self.host), preexec_fn=self.host.enter)

    def dataplane(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "dataplane", *arguments, check=check)

    def lab(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.dataplane("lab", *arguments, check=check)

    def faults(self, topology: str, *options: str) -> dict[str, list[str]]:
        """The faults of each failed flow of a topology; the exit code must agree with them."""
        return {
            f"{flow['from']} -> {flow['to'] or flow['address']} {flow['protocol']}": flow["faults"]
            for flow in self.proof(topology, *options)["flows"]
            if not flow["passed"]
        }

    def proof(self, topology: str, *options: str) -> dict[str, Any]:
        """The document of ``lab test``; the exit code must agree with it."""
        done = self.lab("test", topology, "-o", "json", *options, check=False)
        assert done.returncode in (0, 3), done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        assert document["flows"], "a test without flows proves nothing"
        has_failed = not all(flow["passed"] for flow in document["flows"])
        has_failed |= any(check["verdict"] == "failed" for check in (*document["rates"], *document["drills"]))
        assert done.returncode == (3 if has_failed else 0)
        assert document["passed"] is not has_failed
        return document

    def faults_as_it_is(self, topology: str) -> dict[str, tuple[str, ...]]:
        """The faults of each failed flow of a lab that is up: ``lab test`` would bring it in line first."""
        script = (
            "import json; from lab import nodes, runner, topology\n"
            f"t = topology.load({topology!r})\n"
            "with nodes.opened_nodes(t.name, t.surroundings) as around:\n"
            "    results = runner.run_flows(t, runner.hosts_of(t), None, around).results\n"
            "print(json.dumps({str(r.flow): r.faults for r in results if not r.passed}))"
        )
        return {flow: tuple(texts) for flow, texts in json.loads(self.run(sys.executable, "-c", script).stdout).items()}

    @contextmanager
    def opened(self, lab: str) -> Iterator[Mapping[str, int]]:
        """An open descriptor of every namespace of a lab on this machine, by the names that labs have for them."""

        def work() -> tuple[list[str], list[int]]:
            self.host.enter()
            found = pins.find(lab)
            assert found is not None
            opened: dict[str, int] = {}
            for host in found.hosts:
                for namespace, descriptor in SimulatedHost(lab, host).open_namespaces().items():
                    opened[lab_name(host, namespace, found.hosts)] = descriptor
            for node in found.nodes:
                opened[node_namespace(node)] = os.open(pins.node_pin(lab, node), os.O_RDONLY | os.O_CLOEXEC)
            return list(opened), list(opened.values())

        names, descriptors = in_child(work)
        try:
            yield dict(zip(names, descriptors, strict=True))
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


NETWORK = """\
version: 1
accounts: {{corp: {{uid: "12345678"}}}}
regions: {{cn-beijing: {{zones: {{a: {{}}}}}}}}
vpcs:
  vpc-1:
    account: corp
    region: cn-beijing
    cidr: 172.16.0.0/12
    vswitches:
      vsw-1: {{zone: a, cidr: 172.16.1.0/24}}
      vsw-2: {{zone: a, cidr: 172.16.2.0/24, route_table: rt-2}}
    instances:
      a: {{vswitch: vsw-1, ip: 172.16.1.10}}
      fw: {{vswitch: vsw-1, ip: 172.16.1.20, forwarding: true}}
      c: {{vswitch: vsw-2, ip: 172.16.2.10}}
    route_tables:
      system: {{routes: [{forward}]}}
      rt-2: {{routes: [{{destination: 172.16.1.0/24, next_hop: {{instance: fw}}}}]}}
  vpc-2:
    account: corp
    region: cn-beijing
    cidr: 192.168.0.0/16
    vswitches: {{vsw-3: {{zone: a, cidr: 192.168.1.0/24}}}}
    instances: {{b: {{vswitch: vsw-3, ip: 192.168.1.10}}}}
    route_tables:
      system: {{routes: [{back}]}}
peering_connections:
  pcx-1:
    initiator: {{router_interface: ri-1, vpc: vpc-1}}
    acceptor: {{router_interface: ri-2, vpc: vpc-2}}
"""

FORWARD = "{destination: 192.168.0.0/16, next_hop: {router_interface: ri-1}}"
BACK = "{destination: 172.16.0.0/12, next_hop: {router_interface: ri-2}}"


def write_topology(folder: Path, flows: Sequence[str], forward: str = FORWARD, back: str = BACK) -> str:
    """A small topology of two connected VPCs.

    Args:
        flows: lines of lab.yaml, from ``must_reach:`` on.
        forward: the route of vpc-1 to vpc-2; may be empty.
        back: the route of vpc-2 to vpc-1; may be empty.
    """
    folder.mkdir(exist_ok=True)
    (folder / "network.yaml").write_text(NETWORK.format(forward=forward, back=back))
    head = ["version: 1", "title: A test", "hosts: {host-1: {network: network.yaml}}"]
    (folder / "lab.yaml").write_text("\n".join([*head, *flows, ""]))
    return str(folder)


BORDER = """\
version: 1
accounts: {corp: {uid: "12345678"}}
regions: {cn-beijing: {zones: {a: {}}}}
access_points: {daxing: {region: cn-beijing}}
vpcs:
  vpc-1:
    account: corp
    region: cn-beijing
    cidr: 192.168.0.0/16
    vswitches: {vsw-1: {zone: a, cidr: 192.168.1.0/24}}
    instances: {a: {vswitch: vsw-1, ip: 192.168.1.10}}
    route_tables:
      system: {routes: [{destination: 172.16.0.0/16, next_hop: {router_interface: ri-1}}]}
services: {oss: {ip: 100.64.1.10, region: cn-beijing}}
data_centres: {idc: {cidrs: [172.16.0.0/16]}}
physical_connections:
  pc-1: {account: corp, access_point: daxing, data_centre: idc, device: eth1}
vbrs:
  vbr-1:
    account: corp
    physical_connection: pc-1
    vlan: 1000
    local_ip: 10.10.10.1/30
    peer_ip: 10.10.10.2
    routes:
      - {destination: 172.16.0.0/16, next_hop: physical_connection}
      - {destination: 192.168.0.0/16, next_hop: {router_interface: ri-v1}}
peering_connections:
  pcx-1:
    initiator: {router_interface: ri-v1, vbr: vbr-1}
    acceptor: {router_interface: ri-1, vpc: vpc-1}
"""

BORDER_NODES = """\
nodes:
  router:
    cpe_of: vbr-1
    interfaces: {lan: {address: 172.16.0.1/16}}
  server:
    interfaces: {eth0: {address: 172.16.1.10/16}}
    routes: [{destination: 0.0.0.0/0, via: 172.16.0.1}]
wires:
  - {ends: [host-1/eth1, router/uplink], mtu: 1500}
  - {ends: [router/lan, server/eth0]}
"""


def write_border(folder: Path, flows: Sequence[str], nodes: str = BORDER_NODES) -> str:
    """A small topology of a VPC, a VBR and a data centre of a router and a server.

    Args:
        flows: lines of lab.yaml, from ``must_reach:`` on.
        nodes: the part of lab.yaml that describes the data centre.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "network.yaml").write_text(BORDER)
    head = ["version: 1", "title: A test", "hosts: {host-1: {network: network.yaml}}"]
    (folder / "lab.yaml").write_text("\n".join([*head, nodes, *flows, ""]))
    return str(folder)
