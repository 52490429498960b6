"""Who must not reach whom, with many packets: equal CIDRs (P7), transitivity (39), a failed neighbour (40)."""

import errno
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from dataplane.kernel import netns
from dataplane.kernel.netlink import NetlinkSocket, Refusal
from tests.fakes.networks import PEERED
from tests.netns.fingerprint import differences, fingerprint
from tests.netns.network import AppliedNetwork, listening_everywhere, our_namespaces
from tests.netns.objects import inside

VPCS = 100
ROUNDS = 5
PORT = 5353
ADDRESSES = ("10.0.1.10", "10.0.1.11")
PACKETS = 10_000
_OTHER_TARGETS = ("10.0.1.253", "10.0.1.99", "10.0.2.1", "169.254.0.1", "203.0.113.1")
_NEWADDR = struct.pack("=H", 20)
_KIND = slice(4, 6)


def same_everywhere(vpcs: int) -> str:
    """VPCs that are one another's twins: one CIDR, the same two addresses, no connections."""
    lines = ["version: 1", "vpcs:"]
    for number in range(vpcs):
        instances = ", ".join(f"i{number}-{n}: {{vswitch: s{number}, ip: {ip}}}" for n, ip in enumerate(ADDRESSES))
        lines += [f"  v{number}:", "    account: corp", "    region: r1", "    cidr: 10.0.0.0/16"]
        lines += [f"    vswitches: {{s{number}: {{zone: a, cidr: 10.0.1.0/24}}}}", f"    instances: {{{instances}}}"]
    return "\n".join(lines) + "\n"


@contextmanager
def sockets_in(namespaces: Sequence[str]) -> Iterator[dict[str, socket.socket]]:
    """A UDP socket in each, bound to one port."""
    with ExitStack() as stack:
        found = {}
        for name in namespaces:
            with netns.entered(name):
                opened = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            opened.setblocking(False)
            opened.bind(("0.0.0.0", PORT))
            found[name] = opened
        yield found


def received(opened: socket.socket) -> Iterator[bytes]:
    while True:
        try:
            yield opened.recv(2048)
        except BlockingIOError:
            return
        except ConnectionRefusedError:
            continue


def misled(heard: dict[str, list[bytes]], vpc_of: Callable[[str], str]) -> list[str]:
    """Namespaces with a payload in them that names another VPC."""
    return sorted({name for name, seen in heard.items() for data in seen if _marker(data) != vpc_of(name)})


def marked(frames: Mapping[str, Sequence[bytes]]) -> dict[str, list[bytes]]:
    """The frames with a payload of ours, those in answers of routers included."""
    return {name: [frame for frame in found if b"from vpc " in frame] for name, found in frames.items()}


def _marker(data: bytes) -> str:
    return data.rpartition(b"from vpc ")[2].split(b";")[0].decode()


def vpc_of(namespace: str) -> str:
    """The VPC of a router or an instance of the twins."""
    return namespace.removeprefix("dp-vpc-").removeprefix("dp-i-").split("-")[0].replace("i", "v", 1)


def test_p7_packets_of_a_hundred_equal_vpcs_never_cross(network: AppliedNetwork) -> None:
    """Each instance sends to all addresses that its twins have, and more; 0 of 7,000 packets in a wrong place."""
    assert network.apply(same_everywhere(VPCS)).is_done
    instances = [f"dp-i-i{number}-{n}" for number in range(VPCS) for n in range(len(ADDRESSES))]
    with sockets_in(instances) as sockets:
        with listening_everywhere() as frames:
            for name, opened in sockets.items():
                for target in (*ADDRESSES, *_OTHER_TARGETS) * ROUNDS:
                    try:
                        opened.sendto(f"from vpc {vpc_of(name)};".encode(), (target, PORT))
                    except OSError as error:
                        assert error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EACCES)
        heard = {name: list(received(opened)) for name, opened in sockets.items()}
    assert all(len(seen) == ROUNDS * len(ADDRESSES) for seen in heard.values()), "each hears itself and its neighbour"
    assert misled(heard, vpc_of) == []
    seen = marked(frames)
    assert sum(map(len, seen.values())) > VPCS * 10
    assert misled(seen, vpc_of) == [], "not on any interface of another VPC either"


def test_p7_the_check_sees_a_packet_that_crosses(network: AppliedNetwork) -> None:
    """An instance of one VPC that says that it is of the other."""
    network.must_apply(same_everywhere(2))
    with sockets_in(["dp-i-i1-0", "dp-i-i1-1"]) as sockets:
        with listening_everywhere() as frames:
            sockets["dp-i-i1-0"].sendto(b"from vpc v0;", (ADDRESSES[1], PORT))
        heard = {name: list(received(opened)) for name, opened in sockets.items()}
    assert misled(heard, vpc_of) == ["dp-i-i1-1"]
    assert misled(marked(frames), vpc_of) == ["dp-i-i1-0", "dp-i-i1-1", "dp-vpc-v1"]


def port_packets(namespace: str) -> dict[str, tuple[int, int]]:
    """Packets that each interface of a router has received and sent so far."""
    with netns.entered(namespace):
        lines = Path("/proc/thread-self/net/dev").read_text().splitlines()[2:]
    fields = {line.split(":")[0].strip(): line.split(":")[1].split() for line in lines}
    return {ifname: (int(numbers[1]), int(numbers[9])) for ifname, numbers in fields.items()}


def refused_lookups() -> int:
    """Packets that no route was found for or only one that refuses, in all namespaces of this kernel."""
    head, *cpus = (line.split() for line in Path("/proc/net/stat/rt_cache").read_text().splitlines())
    return sum(int(cpu[head.index("in_no_route")], 16) for cpu in cpus)


def send_many(opened: socket.socket, target: str, count: int) -> None:
    """Datagrams that name their VPC; what routers answer to a socket is passed over."""
    for number in range(count):
        try:
            opened.sendto(b"from vpc vpc-1;%d" % number, (target, PORT))
        except OSError as error:
            assert error.errno in (errno.EHOSTUNREACH, errno.EACCES, errno.ECONNREFUSED)


def test_r101_39_nothing_of_ten_thousand_packets_passes_a_peer_of_a_peer(network: AppliedNetwork) -> None:
    """vpc-1 sends to vpc-3 by way of vpc-2, which both are connected with: refused there, counted, and said."""
    route = "{destination: 192.168.0.0/16, next_hop: {router_interface: ri-1}}"
    text = PEERED.replace(route, f"{route}, {{destination: 10.0.0.0/8, next_hop: {{router_interface: ri-1}}}}")
    network.must_apply(text)
    assert "Packet filtered" in inside("dp-i-ecs-1", "ping", "-c1", "-W1", "10.0.1.10").stdout
    before, refused = port_packets("dp-vpc-vpc-2"), refused_lookups()
    with sockets_in(["dp-i-ecs-1", "dp-i-ecs-2", "dp-i-ecs-3"]) as sockets:
        send_many(sockets["dp-i-ecs-1"], "10.0.1.10", PACKETS)
        assert list(received(sockets["dp-i-ecs-3"])) == []
        after = port_packets("dp-vpc-vpc-2")
        send_many(sockets["dp-i-ecs-1"], "192.168.1.10", 1)
        assert list(received(sockets["dp-i-ecs-2"])) == [b"from vpc vpc-1;0"], "the listener works"
    come = {name: after[name][0] - before[name][0] for name in after}
    gone = {name: after[name][1] - before[name][1] for name in after}
    assert max(come.values()) == PACKETS, "all of them came to vpc-2"
    assert sum(gone.values()) < PACKETS // 100, "and what left it are a few answers that they are refused"
    assert refused_lookups() - refused >= PACKETS


def test_40_a_unit_that_fails_costs_its_neighbours_no_packet(
    network: AppliedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel refuses one address of vpc-3, last of many changes there: all of vpc-3 is as before (P2)."""
    network.must_apply(PEERED)
    before = fingerprint(our_namespaces())
    text = PEERED.replace("ip: 10.0.1.10}", "ip: 10.0.1.10}, ecs-7: {vswitch: vsw-3, ip: 10.0.1.77}").replace(
        "{destination: 172.16.0.0/12, next_hop: {router_interface: ri-4}}",
        "{destination: 172.16.0.0/16, next_hop: {router_interface: ri-4}}",
    )
    execute, refused = NetlinkSocket.execute, []

    def refusing(wire: NetlinkSocket, requests: Sequence[bytearray]) -> list[Refusal | None]:
        hit = [one[_KIND] == _NEWADDR and IPv4Address("10.0.1.77").packed in one for one in requests]
        if not any(hit):
            return execute(wire, requests)
        refused.append(hit)
        return [Refusal(errno.ENOBUFS) if is_hit else None for is_hit in hit]

    monkeypatch.setattr(NetlinkSocket, "execute", refusing)
    with netns.entered("dp-i-ecs-1"):
        stream = subprocess.Popen(
            ["ping", "-q", "-i", "0.002", "-c", "1000", "192.168.1.10"], stdout=subprocess.PIPE, text=True
        )
    report = network.apply(text)
    assert stream.poll() is None, "the stream went on all the time"
    assert refused and report.rolled_back == ("vpc-3",)
    output, _ = stream.communicate(timeout=30)
    assert "1000 packets transmitted, 1000 received, 0% packet loss" in output
    assert differences(before, fingerprint(our_namespaces())) == []
    monkeypatch.undo()
    network.must_apply(text)
