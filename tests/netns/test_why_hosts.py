"""`why` between hosts on a real kernel: this host is applied, the others are a peer on its wire that only hears and
says what they would. Each fault is named rightly, and real packets agree with the verdict on both ways."""

import subprocess
import sys
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from dataplane.agent.session import Session
from dataplane.agent.store import Store
from dataplane.agent.why import explain_live
from dataplane.cli.why_text import elsewhere
from dataplane.compile.compiler import compile_network
from dataplane.config import Source, load_sources
from dataplane.model import names
from dataplane.model.kernel import Rule, VxlanLink
from dataplane.observe.why.code import Code
from dataplane.observe.why.explain import Explanation, Question
from tests.fakes.networks import THREE_HOSTS as ON_THREE_HOSTS
from tests.netns.network import hooked, listening_everywhere, our_namespaces
from tests.netns.objects import inside, run
from tests.netns.test_why import check
from tests.netns.underlay import PEER, PEER_DEVICE, cable, frame, throw, vxlan_packet
from tests.netns.why_host_faults import END_1, END_2, FAULTS, PEER_END, HostFault

THREE_HOSTS = hooked(ON_THREE_HOSTS, "off")
"""The faults are in the kernel's own way, which the forwarder would not take."""

ROOT = Path(__file__).resolve().parents[2]
ADDRESSES = {"a1": "192.168.1.10", "a2": "192.168.2.10", "b3": "172.16.3.10"}
VNI_A, VNI_PCX = names.vni("vpc", "vpc-a"), names.vni("peering_connection", "pcx")
UNDER_VXLAN = 14 + 20 + 8
"""Outer Ethernet, IPv4 and UDP headers, in bytes."""


class Host1:
    """host-1 with THREE_HOSTS applied, and the peer that is host-2 and host-3."""

    def __init__(self, folder: Path) -> None:
        self.state, self.run = folder / "state", folder / "run"

    def session(self) -> Session:
        return Session(self.state, self.run)

    def ask(self, question: Question) -> Explanation:
        return explain_live(self.state, question)

    def spoil(self, commands: tuple[str, ...]) -> None:
        words = self._words()
        for command in commands:
            namespace, *rest = (word.replace("\xa0", " ") for word in command.format(**words).split(" "))
            if namespace:
                done = inside(namespace, *rest)
                assert done.returncode == 0, (command, done.stderr)
            else:
                run(*rest)

    def _words(self) -> dict[str, str]:
        """The words in braces of a fault's commands."""
        state = Store(self.state).load()
        desired = compile_network(load_sources(state.applied.sources), state.book, {}, here="host-1")
        words = {}
        for item in (wish.object for wish in desired.wanted.values()):
            if isinstance(item, VxlanLink):
                kind, path = names.parse_mark(item.mark) or ("", "")
                words |= {
                    f"{kind}/{path}": item.ifname,
                    f"index {kind}/{path}": str(item.ifindex),
                    f"vni {kind}/{path}": str(item.vni),
                }
            elif isinstance(item, Rule) and item.priority == 200:
                words["system"] = str(item.table)
        return words

    def sends(self, destination: str) -> bool:
        """Whether what ``a1`` sends comes to the peer as the other host wants it: address, port, VNI and MAC."""
        to, vni, mac = ("172.20.0.13", VNI_PCX, PEER_END) if destination == "b3" else ("172.20.0.12", VNI_A, END_2)
        with listening_everywhere(PEER) as frames:
            inside("dp-i-a1", "ping", "-c1", "-W0.3", "-w1", ADDRESSES[destination])
        return any(_is_tunnelled(one, to, vni, mac, ADDRESSES[destination]) for one in frames[PEER])

    def takes(self) -> bool:
        """Whether what host-2's part of the VPC sends to ``a1`` arrives there."""
        inner = frame(ADDRESSES["a2"], ADDRESSES["a1"], b"an answer", mac=END_1)
        with listening_everywhere(PEER) as frames:
            throw(vxlan_packet(inner, VNI_A))
        return any(b"an answer" in one for one in frames["dp-i-a1"])


def _is_tunnelled(packet: bytes, to: str, vni: int, mac: str, destination: str) -> bool:
    inner = packet[UNDER_VXLAN + 8 :]
    return (
        packet[26:34] == IPv4Address("172.20.0.11").packed + IPv4Address(to).packed
        and packet[36:38] == names.VXLAN_PORT.to_bytes(2, "big")
        and int.from_bytes(packet[UNDER_VXLAN + 4 : UNDER_VXLAN + 7], "big") == vni
        and inner[:6] == bytes.fromhex(mac.replace(":", ""))
        and inner[30:34] == IPv4Address(destination).packed
    )


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host1]:
    there = Host1(tmp_path)
    with cable():
        run("ip", "-n", PEER, "addr", "add", "172.20.0.13/24", "dev", PEER_DEVICE)
        loaded = load_sources([Source("network.yaml", THREE_HOSTS)])
        report = there.session().apply(loaded, "host-1")
        assert report.is_done, [outcome.error for outcome in report.failures] + list(report.remaining)
        yield there
        report = there.session().destroy()
        assert report.is_done, [outcome.error for outcome in report.failures] + list(report.remaining)
        assert our_namespaces() == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_p7_each_fault_between_hosts_is_named_and_real_packets_agree(host: Host1, ping: str, fault: HostFault) -> None:
    host.spoil(fault.by_hand)
    found = host.ask(fault.question)
    check(found.forward, fault.forward, THREE_HOSTS)
    check(found.back, fault.back, THREE_HOSTS)
    destination = fault.question.destination if fault.question.source == "a1" else fault.question.source
    if fault.sends is not None:
        assert host.sends(destination) == fault.sends
    if fault.takes is not None:
        assert host.takes() == fault.takes
    ways = (found.forward, found.back) if fault.question.source == "a1" else (found.back, found.forward)
    for way, passes in zip(ways, (fault.sends, fault.takes), strict=True):
        # Of a tunnel that is not as we make it nobody knows whether it carries packets: it is only said to differ.
        if way is not None and way.finding.code is not Code.DRIFT:
            assert passes in (way.verdict.code.is_delivered, None)


def test_the_checker_sees_a_wrong_verdict(host: Host1) -> None:
    """The table above, red: a host without a fault has none of them."""
    for fault in FAULTS:
        if fault.by_hand:
            found = host.ask(fault.question)
            with pytest.raises(AssertionError):
                check(found.forward, fault.forward, THREE_HOSTS)
                check(found.back, fault.back, THREE_HOSTS)


def test_the_other_host_is_said_to_be_as_configured(host: Host1) -> None:
    found = host.ask(Question("a1", "b3"))
    assert found.is_good
    assert elsewhere(found) == "host-3 is shown as configured: run the same `dataplane why` there for its kernel"
    assert [hop.kernel_answer != "" for hop in found.forward.hops] == [True, True, False, False]
    assert elsewhere(host.ask(Question("a1", "fw"))) == ""


def test_asking_changes_nothing(host: Host1) -> None:
    host.ask(Question("a1", "b3"))
    loaded = load_sources([Source("network.yaml", THREE_HOSTS)])
    assert host.session().apply(loaded, "host-1").planned.actions == ()


def command(host: Host1, *words: str) -> subprocess.CompletedProcess[str]:
    folders = ("--state-dir", str(host.state), "--run-dir", str(host.run))
    line = (sys.executable, "-m", "dataplane", *folders, *words)
    return subprocess.run(line, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)


@pytest.mark.parametrize("words", [("exec", "b3", "--", "true"), ("capture", "b3"), ("capture", "instance/b3")])
def test_what_is_on_another_host_is_one_sentence(host: Host1, words: tuple[str, ...]) -> None:
    done = command(host, *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: instance b3 is on host-3 (this is host-1): run it there.\n"


def test_a_vpc_of_other_hosts_cannot_be_captured_here(host: Host1) -> None:
    done = command(host, "capture", "vpc-b")
    assert (done.returncode, done.stderr) == (
        1,
        "error: vpc vpc-b is on host-2 and host-3 (this is host-1): run it there.\n",
    )


@pytest.mark.parametrize(
    ("target", "place", "to"),
    [("vpc-a", "vpc-a <-> other hosts", "192.168.2.10"), ("pcx", "pcx vpc-a <-> other hosts", "172.16.3.10")],
)
def test_a_tunnel_is_captured_at_its_interface_here(host: Host1, ping: str, target: str, place: str, to: str) -> None:
    folders = ("--state-dir", str(host.state), "--run-dir", str(host.run))
    line = (sys.executable, "-m", "dataplane", *folders, "capture", target, "--count", "1", "--duration", "20s")
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as listening:
        assert listening.stderr is not None and listening.stdout is not None
        assert f"capturing at {place} (dpx" in listening.stderr.readline()
        inside("dp-i-a1", "ping", "-c1", "-W0.1", "-w1", to)
        text = listening.stdout.read()
        assert listening.wait() == 0
    assert f"> {to} icmp echo request" in text
    assert " out dpx" in text
