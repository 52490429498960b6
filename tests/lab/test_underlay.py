"""What crosses between hosts: VNIs on the wire, isolation of equal addresses, strangers, and a tenant's ARP scan."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from pyroute2 import IPRoute

from dataplane.compile.tunnel import VPC_TUNNEL
from dataplane.model.names import mac_address, vni
from lab import topology
from lab.inventory import Inventory
from lab.product import environment
from lab.syscalls import in_network
from lab.traffic.packet import echo_reply_nonce, echo_request
from tests.lab.conftest import fresh_machine
from tests.lab.machine import Machine
from tests.lab.tunnels import ETHERTYPE_IPV4, VXLAN_PORT, Crossing, arp_request, crossings, forged, packets_of

NAME = "three-hosts"
HOST_1, HOST_2, HOST_3 = "172.20.0.11", "172.20.0.12", "172.20.0.13"
UNDERLAY = "node/underlay"
PORT = 9000
PATIENCE_S = 2.0
QUIET_S = 0.3
PACKETS = 100_000
SCANNED = 65_536
TOGETHER = 256
FEW = 16


@dataclass(frozen=True)
class Net:
    """The three hosts, up; and their namespaces, open."""

    machine: Machine
    inventory: Inventory
    namespaces: Mapping[str, int]

    def of(self, id: str) -> int:
        (namespace,) = self.inventory.namespaces(id)
        return self.namespaces[namespace]

    def address(self, id: str) -> str:
        return str(self.inventory.nodes[id].address)

    def ping(self, source: str, target: str, address: str = "") -> bool:
        """One echo there and back."""
        nonce = os.urandom(12)
        with in_network(self.of(source)):
            sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        with sock:
            sock.sendto(echo_request(1, 1, nonce), (address or self.address(target), 0))
            deadline = time.monotonic() + PATIENCE_S
            while (left := deadline - time.monotonic()) > 0:
                sock.settimeout(left)
                try:
                    if echo_reply_nonce(sock.recv(2048)) == nonce:
                        return True
                except TimeoutError:
                    break
        return False

    def drops(self, host: str) -> str:
        """What `dataplane status` of a host says of dropped VXLAN packets; empty where it says nothing."""
        command = (sys.executable, "-m", "dataplane", "status", "-o", "json")
        notes = json.loads(self.machine.lab("exec", host, "--", *command, check=False).stdout)["notes"]
        return " ".join(note for note in notes if "VXLAN packets dropped" in note)


@pytest.fixture(scope="module")
def net(_root: None) -> Iterator[Net]:
    with fresh_machine(f"pytest-underlay-{os.getpid()}") as machine:
        machine.lab("up", NAME)
        with machine.opened(NAME) as namespaces:
            yield Net(machine, topology.load(NAME).inventory, namespaces)


@pytest.mark.parametrize(
    ("source", "target", "there"),
    [
        ("red-1", "red-2", [(HOST_1, HOST_2, vni("vpc", "red"))]),
        ("blue-1", "blue-2", [(HOST_2, HOST_3, vni("vpc", "blue"))]),
        # Written in the file, where all others are a hash of the resource's id.
        ("green-1", "green-2", [(HOST_3, HOST_1, 4096)]),
        ("office-1", "laboratory-1", [(HOST_1, HOST_2, vni("peering_connection", "pcx-office-laboratory"))]),
        (
            "sales-1",
            "stock-2",
            [(HOST_1, HOST_3, vni("peering_connection", "pcx-sales-stock")), (HOST_3, HOST_2, vni("vpc", "stock"))],
        ),
        # By way of an instance: to its host in its own VNI, which says whom it is for, and on in the VPC's.
        ("web", "db", [(HOST_1, HOST_3, vni("next_hop", "fw")), (HOST_3, HOST_2, vni("vpc", "shop"))]),
        ("blue-3", "blue-4", []),
    ],
)
def test_what_is_seen_on_the_underlay(net: Net, source: str, target: str, there: list[tuple[str, str, int]]) -> None:
    """One datagram, and nothing else, between the right hosts, in the VNI that the configuration says."""
    with packets_of(net.namespaces[UNDERLAY]) as underlay:
        with in_network(net.of(target)):
            listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with in_network(net.of(source)):
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with listener, sender:
            listener.bind((net.address(target), PORT))
            listener.settimeout(PATIENCE_S)
            sender.sendto(b"one", (net.address(target), PORT))
            assert listener.recv(16) == b"one"
        ends = net.address(source), net.address(target)
        assert crossings(underlay) == {Crossing(*between, *ends) for between in there}


def test_tcpdump_shows_the_vni(net: Net) -> None:
    if shutil.which("tcpdump") is None:
        pytest.skip("tcpdump is not installed")
    command = [sys.executable, "-m", "dataplane", "lab", "exec", "underlay", "--"]
    command += ["tcpdump", "-Z", "root", "-lni", "any", "-c", "1", "udp", "port", str(VXLAN_PORT)]
    host = net.machine.host
    with subprocess.Popen(
        command,
        env=environment(host),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=host.enter,
    ) as process:
        assert process.stderr is not None
        while "listening on" not in (line := process.stderr.readline()):
            assert process.poll() is None, line
        assert net.ping("red-1", "red-2")
        shown, _ = process.communicate(timeout=10)
    assert re.search(rf"{HOST_1}\.\d+ > {HOST_2}\.{VXLAN_PORT}: VXLAN, .*vni {vni('vpc', 'red')}\b", shown), shown


class _Crowd:
    """Instances of several VPCs that send to each other's addresses, and count what they get.

    Each payload names its VPC. Each receiver sees every packet that comes into its namespace, whatever its address.
    """

    def __init__(self, net: Net, instances: list[str], stack: ExitStack) -> None:
        self.net = net
        self.sent: Counter[str] = Counter()
        self.own: Counter[str] = Counter()
        self.foreign: Counter[str] = Counter()
        self.senders, self._eyes = {}, {}
        for id in instances:
            with in_network(net.of(id)):
                sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sock.bind(("", PORT))  # else the kernel complains to each sender
            self.senders[id] = sock
            self._eyes[id] = stack.enter_context(packets_of(net.of(id), ETHERTYPE_IPV4))

    def vpc(self, id: str) -> str:
        return str(self.net.inventory.nodes[id].vpc)

    def send(self, id: str, address: str, name: str) -> None:
        self.sent[id] += 1
        self.senders[id].sendto(name.encode(), (address, PORT))

    def collect(self) -> None:
        for id, sock in self._eyes.items():
            wanted = self.vpc(id).encode()
            while True:
                try:
                    packet, address = sock.recvfrom(128)
                except BlockingIOError:
                    break
                # ICMP errors repeat what somebody sent: they are not what this is about.
                if address[2] != socket.PACKET_OUTGOING and packet[9] == socket.IPPROTO_UDP:
                    counted = self.own if packet[28:] == wanted else self.foreign
                    counted[id] += 1

    def settle(self) -> None:
        """Until nothing has come for a while."""
        while True:
            before = self.own.total() + self.foreign.total()
            time.sleep(QUIET_S)
            self.collect()
            if self.own.total() + self.foreign.total() == before:
                return


def test_r88_no_packet_is_in_the_wrong_vpc(net: Net) -> None:
    """100,000 packets between three VPCs of equal CIDRs on three hosts, all to all addresses at once."""
    ids = [id for id, node in net.inventory.nodes.items() if node.vpc in ("red", "blue", "green")]
    addresses = sorted({net.address(id) for id in ids})
    assert (len(ids), len(addresses)) == (9, 4)
    owners = {(net.inventory.nodes[id].vpc, net.address(id)): id for id in ids}
    expected: Counter[str] = Counter()
    # Blue-4's address is of red-3's own vSwitch, where nobody answers for it: red-3 sends to the router all the same.
    neighbours = json.loads(net.machine.lab("exec", "red-3", "--", "ip", "-j", "neigh").stdout)
    router = next(one["lladdr"] for one in neighbours if one["dst"] == "10.1.3.253")
    net.machine.lab("exec", "red-3", "--", "ip", "neigh", "replace", "10.1.3.11", "lladdr", router, "dev", "eth0")
    with ExitStack() as stack:
        crowd = _Crowd(net, ids, stack)
        while crowd.sent.total() < PACKETS:
            for id in ids:
                for address in addresses:
                    if address != net.address(id):
                        crowd.send(id, address, crowd.vpc(id))
                        expected[owners.get((crowd.vpc(id), address), "nobody")] += 1
            if crowd.sent.total() % 270 == 0:
                crowd.collect()
        crowd.settle()
        del expected["nobody"]
        assert crowd.foreign == {}
        assert crowd.own == expected, "and what is one's own arrives, all of it"
        # The count seen red: a payload of another VPC, where it can arrive.
        crowd.send("red-1", net.address("red-2"), "blue")
        crowd.settle()
        assert crowd.foreign == {"red-2": 1}


def _forge(net: Net, place: str, number: int, source: str = "10.1.1.10") -> bool:
    """Send a VXLAN packet for red-2 from a place on the underlay; whether its datagram arrives."""
    mac = mac_address(VPC_TUNNEL, "red/host-2")
    data = os.urandom(8)
    with in_network(net.of("red-2")):
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with in_network(net.of(place)):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with listener, sender:
        listener.bind((net.address("red-2"), PORT))
        listener.settimeout(QUIET_S)
        sender.sendto(forged(number, mac, source, net.address("red-2"), PORT, data), (HOST_2, VXLAN_PORT))
        try:
            return listener.recv(16) == data
        except TimeoutError:
            return False


def test_p7_a_forged_packet_is_dropped_and_counted(net: Net) -> None:
    """Right VNI, right addresses inside, wrong sender; and what else may be wrong. `dataplane status` tells of it."""
    red = vni("vpc", "red")
    # The forgery is a good one: from the real peer's own namespace it arrives.
    assert _forge(net, "host-1", red)
    assert net.drops("host-2") == ""
    for number in range(1, 4):
        assert not _forge(net, "stranger", red)
        assert f"{number} from an address that no host of this network has" in net.drops("host-2")
    # A host that was taken over cannot speak for what is on another one, nor in a VNI that it has no part in.
    assert not _forge(net, "host-1", red, "10.1.3.10")
    assert not _forge(net, "host-1", red + 1)
    shown = net.drops("host-2")
    assert "1 from an inner address that is not behind the sending host" in shown
    assert "1 with a VNI that the sending host has nothing to do with" in shown
    assert net.ping("red-1", "red-2")
    assert net.drops("host-1") == ""


def _neighbours(net: Net) -> int:
    """How many entries the kernel's neighbour table, of which there is only one, has for the namespaces of the lab."""
    found = 0
    for descriptor in net.namespaces.values():
        with in_network(descriptor), IPRoute() as netlink:
            found += len(list(netlink.get_neighbours(family=socket.AF_INET)))
    return found


def test_an_arp_scan_of_a_tenant_harms_nobody(net: Net) -> None:
    """65,536 ARP requests of red-1, one for each address of its VPC; nobody else's ping is lost meanwhile."""
    pairs = [("blue-3", "blue-1"), ("office-1", "laboratory-1"), ("green-2", "green-1"), ("red-2", "red-3")]
    assert all(net.ping(*pair) for pair in pairs)
    with in_network(net.of("red-1")):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        mac = bytes.fromhex(Path("/sys/class/net/eth0/address").read_text().strip().replace(":", ""))
    first = int.from_bytes(socket.inet_aton("10.1.0.0"), "big")
    before, lost = _neighbours(net), []
    with sock:
        sock.bind(("eth0", 0))
        for start in range(first, first + SCANNED, TOGETHER):
            for wanted in range(start, start + TOGETHER):
                sock.send(arp_request(mac, "10.1.1.10", wanted))
            lost += [pair for pair in pairs if not net.ping(*pair)]
    assert lost == []
    assert _neighbours(net) - before < FEW, "the table is the whole kernel's: a tenant must not fill it"
    assert net.ping("red-1", "red-2")
    # Both seen red: an address that nobody has, and a host that does not know whom it asks for.
    assert not net.ping("red-1", "nobody", "10.1.1.99")
    with in_network(net.of("stranger")):
        asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with asker:
        for last in range(100, 100 + FEW):
            asker.sendto(b"?", (f"172.20.0.{last}", PORT))
    assert _neighbours(net) - before >= FEW
