"""Packet sockets on the real kernel, and the command: what it prints, what it writes, how it ends."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network
from itertools import pairwise
from pathlib import Path

import pytest

from dataplane.kernel import netns
from dataplane.kernel.capture import Capture, Heard, Tap, read_links
from dataplane.model import names
from dataplane.observe.socket_filter import Wanted, compile_filter, encode
from tests.fakes.networks import ONE_LINE, PEERED
from tests.netns.network import AppliedNetwork, hooked, send_frame
from tests.netns.objects import inside, open_files, run

ROOT = Path(__file__).resolve().parents[2]
scapy = pytest.importorskip("scapy.all", reason="needs the Python package scapy")

ETHER = scapy.Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
IP = scapy.IP(src="192.0.2.1", dst="192.0.2.2")


@pytest.fixture
def wire() -> Iterator[tuple[str, str]]:
    """A device of the host, as a physical connection ends at, and the far end of its cable."""
    run("ip", "link", "add", "wire0", "type", "veth", "peer", "name", "wire1")
    for name in ("wire0", "wire1"):
        Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")  # no frames but ours
        run("ip", "link", "set", name, "up")
    wait_until_up("wire0", "wire1")
    yield "wire0", "wire1"
    run("ip", "link", "delete", "wire0")


def wait_until_up(*ifnames: str) -> None:
    """The kernel drops what is sent on a link whose new carrier it has not got round to yet."""
    deadline = time.monotonic() + 5
    while any(Path(f"/sys/class/net/{ifname}/operstate").read_text() != "up\n" for ifname in ifnames):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def hear(ifname: str, wanted: Wanted, act: Callable[[], None], after_s: float = 0.3) -> tuple[list[Heard], int]:
    """What a filter lets through at a device of the host while something happens, and what the kernel counted."""
    with Capture([Tap(names.HOST, ifname, encode(compile_filter(wanted)))]) as capture:
        act()
        heard = [one for batch in capture.frames(after_s) for one in batch]
        (counts,) = capture.counted()
    assert counts.dropped == 0
    return heard, counts.received


def send(ifname: str, *frames: object) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.bind((ifname, 0))
        for frame in frames:
            sender.send(bytes(frame))  # type: ignore[call-overload]


def test_a_received_tag_is_read_beside_the_frame_and_a_sent_one_in_it(wire: tuple[str, str]) -> None:
    here, there = wire
    tagged = ETHER / scapy.Dot1Q(vlan=1000, prio=5) / IP / scapy.UDP()
    heard, _ = hear(here, Wanted(), lambda: send(there, tagged))
    assert [(one.tag, one.is_outgoing) for one in heard] == [((0x8100, 5 << 13 | 1000), False)]
    assert heard[0].data == bytes(ETHER / IP / scapy.UDP())
    heard, _ = hear(here, Wanted(), lambda: send(here, tagged))
    assert [(one.tag, one.data, one.is_outgoing) for one in heard] == [(None, bytes(tagged), True)]


@pytest.mark.parametrize("direction", ["received", "sent"])
@pytest.mark.parametrize(
    ("wanted", "passing"),
    [
        (Wanted(), {"plain", "v1000", "v20", "qinq", "arp"}),
        (Wanted(vlan=1000), {"v1000", "qinq"}),
        (Wanted(vlan=20), {"v20"}),
        (Wanted(port=53), {"plain", "v1000", "qinq"}),
        (Wanted(protocol="tcp"), {"v20"}),
        (Wanted(protocol="arp"), {"arp"}),
        (Wanted(vlan=1000, host=IPv4Network("192.0.2.0/24"), protocol="udp", port=53), {"v1000", "qinq"}),
    ],
)
def test_the_kernel_takes_the_filters(wire: tuple[str, str], wanted: Wanted, passing: set[str], direction: str) -> None:
    here, there = wire
    frames = {
        "plain": ETHER / IP / scapy.UDP(dport=53) / b"plain",
        "v1000": ETHER / scapy.Dot1Q(vlan=1000) / IP / scapy.UDP(dport=53) / b"v1000",
        "v20": ETHER / scapy.Dot1Q(vlan=20) / IP / scapy.TCP() / b"v20",
        "qinq": ETHER / scapy.Dot1Q(vlan=1000) / scapy.Dot1Q(vlan=20) / IP / scapy.UDP(dport=53) / b"qinq",
        "arp": ETHER / scapy.ARP(psrc="198.51.100.9", pdst="192.0.2.2") / b"arp",
    }
    heard, received = hear(here, wanted, lambda: send(there if direction == "received" else here, *frames.values()))
    found = {name for name in frames if any(one.data.endswith(name.encode()) for one in heard)}
    assert found == passing
    assert received == len(heard) == len(passing), "what does not pass is not even counted"


def test_nothing_is_heard_before_the_filter_is_in_place(wire: tuple[str, str]) -> None:
    """The traffic never stops while sockets are opened; none of it may slip in unfiltered."""
    here, there = wire
    stop = threading.Event()

    def flood() -> None:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
            sender.bind((there, 0))
            while not stop.is_set():
                sender.send(bytes(ETHER / IP / scapy.UDP(sport=9, dport=9)))

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        for _ in range(20):
            heard, received = hear(here, Wanted(port=53), lambda: None, after_s=0.01)
            assert (heard, received) == ([], 0)
    finally:
        stop.set()
        thread.join()


def test_times_are_the_kernels_and_in_order_over_all_taps(wire: tuple[str, str]) -> None:
    """Frames come in while the taps are read one after the other; a busy machine may let the odd one be late."""
    here, there = wire
    number = 3000

    def send_all() -> None:
        for _ in range(30):
            send(there, *[bytes(ETHER / IP)] * (number // 30))
            time.sleep(0.01)

    flood = threading.Thread(target=send_all)
    with Capture([Tap(names.HOST, here), Tap(names.HOST, there)]) as capture:
        before = time.time_ns()
        flood.start()
        heard: list[Heard] = []
        for batch in capture.frames(20):
            heard += batch
            if len(heard) == 2 * number:
                break
        flood.join()
    times = [one.time_ns for one in heard]
    assert [one.tap for one in heard].count(0) == number
    assert sum(later < sooner for sooner, later in pairwise(times)) <= 3
    assert before <= min(times) <= max(times) <= time.time_ns()


def test_stop_ends_it_at_once_and_no_file_is_left_open(wire: tuple[str, str]) -> None:
    before = open_files()
    started = time.monotonic()
    with Capture([Tap(names.HOST, wire[0])]) as capture:
        threading.Timer(0.2, capture.stop).start()
        assert list(capture.frames(30)) == []
    assert time.monotonic() - started < 5
    assert open_files() == before


def test_it_outlives_a_link_that_goes_down_and_ends_with_one_that_goes_away(wire: tuple[str, str]) -> None:
    here, there = wire
    with Capture([Tap(names.HOST, here)]) as capture:
        run("ip", "link", "set", here, "down")
        assert list(capture.frames(0.1)) == []
        assert capture.lost == []
        run("ip", "link", "set", here, "up")
        wait_until_up(here, there)
        send(there, ETHER / IP)
        assert len([one for batch in capture.frames(0.2) for one in batch]) == 1
        run("ip", "link", "delete", here)
        assert list(capture.frames(30)) == []
        assert capture.lost == [0]
    run("ip", "link", "add", here, "type", "veth", "peer", "name", there)


def test_an_interface_that_is_not_there_is_named(wire: tuple[str, str]) -> None:
    before = open_files()
    with pytest.raises(Exception, match="cannot listen at interface none0 of the host: No such device"):
        Capture([Tap(names.HOST, wire[0]), Tap(names.HOST, "none0")]).__enter__()
    assert open_files() == before


def test_lost_frames_are_counted(wire: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that is too slow, made so by a small buffer."""
    monkeypatch.setattr("dataplane.kernel.capture._RECEIVE_BUFFER_BYTES", 4096)
    with Capture([Tap(names.HOST, wire[0])]) as capture:
        for _ in range(500):
            send(wire[1], ETHER / IP / bytes(1000))
        heard = sum(len(batch) for batch in capture.frames(0.1))
        (counts,) = capture.counted()
        assert capture.counted() == [counts], "the kernel begins anew at each reading, we do not"
    assert counts.received == 500
    assert 0 < counts.dropped == 500 - heard
    assert heard > 0


def test_foreign_namespaces_are_not_looked_into(network: AppliedNetwork) -> None:
    network.must_apply(PEERED)
    run("ip", "netns", "add", "dp-vpc-foreign")
    try:
        assert "dp-vpc-foreign" not in {seen.namespace for seen in read_links()}
    finally:
        run("ip", "netns", "delete", "dp-vpc-foreign")


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def capture(network: AppliedNetwork) -> Iterator[Start]:
    """Start the command on an applied network and wait until it listens. The kernel forwards: ports show both ways."""
    network.must_apply(hooked(PEERED, "off"))
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, places: int = 1) -> "subprocess.Popen[str]":
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "DATAPLANE_STATE_DIR": str(network.folder / "state")}
        command = [sys.executable, "-m", "dataplane", "capture", *arguments]
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=network.folder
        )
        started.append(process)
        assert process.stderr is not None
        for _ in range(places):
            assert process.stderr.readline().startswith("capturing at ")
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def finish(process: "subprocess.Popen[str]") -> tuple[int, list[str], str]:
    """Exit code, lines of stdout, and stderr after the places."""
    out, err = process.communicate(timeout=20)
    return process.returncode, out.splitlines(), err


def test_a_packet_is_followed_from_hop_to_hop(capture: Start, ping: str) -> None:
    process = capture("ecs-1", "pcx-1", "ecs-2", "--proto", "icmp", "--count", "8", places=4)
    assert inside("dp-i-ecs-1", ping, "-c1", "-W2", "192.168.1.10").returncode == 0
    code, lines, err = finish(process)
    assert code == 0
    assert err.endswith("8 packets captured, 8 passed the filter, 0 dropped by the kernel\n")
    times = [line.split()[0] for line in lines]
    assert sum(later < sooner for sooner, later in pairwise(times)) <= 1
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d\.\d{6}", one) for one in times)
    seen = [
        re.sub(r"^\S+ (.*) dp.\d+: .* (icmp echo \w+) .* (ttl \d+) length 84$", r"\1, \2, \3", line) for line in lines
    ]
    assert sorted(seen) == sorted(
        [
            "instance ecs-1 -> vpc-1 in, icmp echo request, ttl 64",
            "pcx-1 vpc-1 -> vpc-2 out, icmp echo request, ttl 63",
            "pcx-1 vpc-1 -> vpc-2 in, icmp echo request, ttl 63",
            "vpc-2 -> instance ecs-2 out, icmp echo request, ttl 62",
            "instance ecs-2 -> vpc-2 in, icmp echo reply, ttl 64",
            "pcx-1 vpc-2 -> vpc-1 out, icmp echo reply, ttl 63",
            "pcx-1 vpc-2 -> vpc-1 in, icmp echo reply, ttl 63",
            "vpc-1 -> instance ecs-1 out, icmp echo reply, ttl 62",
        ]
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_control_c_sums_up_and_is_no_failure(capture: Start, ping: str, number: int) -> None:
    process = capture("ecs-1", "--proto", "icmp")
    inside("dp-i-ecs-1", ping, "-c1", "-W2", "192.168.1.10")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(number)
    code, _, err = finish(process)
    assert (code, err) == (0, "2 packets captured, 2 passed the filter, 0 dropped by the kernel\n")


def test_duration_and_filters_end_with_nothing(capture: Start, ping: str) -> None:
    process = capture("ecs-1", "--duration", "300ms", "--host", "203.0.113.0/24")
    inside("dp-i-ecs-1", ping, "-c1", "-W2", "192.168.1.10")
    assert finish(process) == (0, [], "0 packets captured, 0 passed the filter, 0 dropped by the kernel\n")


def test_udp_with_offloaded_checksums_is_not_called_wrong_and_a_bad_one_is(capture: Start) -> None:
    """A socket leaves the sum to the (virtual) card; a frame sent as it is carries what it carries."""
    process = capture("ecs-1", "--proto", "udp", "--count", "2")
    with netns.entered("dp-i-ecs-1"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"offloaded", ("192.168.1.10", 7))
    ether = scapy.Ether(src=names.mac_address("instance", "ecs-1"), dst=names.mac_address("port", "ecs-1"))
    bad = ether / scapy.IP(src="172.16.1.10", dst="192.168.1.10") / scapy.UDP(sport=1, dport=7, chksum=0xBAD) / b"bad"
    send_frame("ecs-1", bytes(bad))
    code, lines, _ = finish(process)
    assert code == 0
    assert lines[0].endswith(" length 37")
    assert lines[1].endswith(" length 31 [udp checksum wrong]")


def test_a_file_names_its_interfaces_and_tcpdump_reads_it(capture: Start, ping: str, tmp_path: Path) -> None:
    process = capture("pcx-1", "--proto", "icmp", "--count", "4", "--write", "out.pcapng", places=2)
    assert inside("dp-i-ecs-1", ping, "-c1", "-W2", "192.168.1.10").returncode == 0
    code, lines, _ = finish(process)
    assert (code, lines) == (0, [])
    path = tmp_path / "out.pcapng"
    packets = scapy.rdpcap(str(path))
    assert len({packet.sniffed_on for packet in packets}) == 2
    assert [(packet[scapy.IP].ttl, packet.direction) for packet in packets].count((63, 2)) == 2
    assert b"pcx-1 vpc-1 <-> vpc-2" in path.read_bytes()
    tcpdump = shutil.which("tcpdump")
    if tcpdump is not None:
        assert run(tcpdump, "-nr", str(path)).count("ICMP echo re") == 4


def test_a_pipe_gets_the_same_bytes_and_may_be_closed(capture: Start, ping: str) -> None:
    process = capture("ecs-1", "--write", "-", "--proto", "icmp")
    assert process.stdout is not None
    assert process.stdout.buffer.read(4) == b"\x0a\x0d\x0d\x0a"
    process.stdout.close()
    inside("dp-i-ecs-1", ping, "-c1", "-W2", "192.168.1.10")
    assert process.wait(timeout=10) == 1
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()


def test_a_vbr_is_heard_on_its_line_with_its_tag_and_without_its_neighbours(
    wire: tuple[str, str], network: AppliedNetwork, capture: Start, ping: str
) -> None:
    """R26, R27: the way out to the data centre, and what comes in from it; VLAN 20 is another VBR's."""
    network.must_apply(ONE_LINE)
    process = capture("vbr-1", "--count", "3")
    inside("dp-i-inside", ping, "-c1", "-W1", "172.16.0.1")
    answer = scapy.ARP(op=2, hwsrc=ETHER.src, psrc="10.10.10.2", pdst="10.10.10.1")
    for vlan in (20, 1000):
        send(wire[1], ETHER / scapy.Dot1Q(vlan=vlan) / answer)
    inside("dp-i-inside", ping, "-c1", "-W1", "172.16.0.1")
    code, lines, _ = finish(process)
    assert code == 0
    said = [re.sub(r"^\S+ | [0-9a-f:]{17} > [0-9a-f:]{17}", "", line) for line in lines]
    asks = "vbr-1 -> line out wire0: vlan 1000 arp who has 10.10.10.2? tell 10.10.10.1 length 28"
    answers = "line -> vbr-1 in wire0: vlan 1000 arp 10.10.10.2 is at 02:00:00:00:00:01 length 28"
    assert said[0] == asks
    assert all(one in (asks, answers) or "vlan 1000 192.168.1.10 > 172.16.0.1 icmp" in one for one in said)
    network.must_apply(PEERED)  # nothing of ours may be on the device when it goes


def test_what_is_declared_and_has_no_link_is_not_called_unknown(wire: tuple[str, str], network: AppliedNetwork) -> None:
    network.must_apply(ONE_LINE)
    done = run_capture(network, "pcx-2")
    assert done.returncode == 1
    assert "pcx-2 has no link on this host now; `dataplane status` says why" in done.stderr
    network.must_apply(PEERED)


def run_capture(network: AppliedNetwork, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command from beginning to end."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DATAPLANE_STATE_DIR": str(network.folder / "state")}
    command = [sys.executable, "-m", "dataplane", "capture", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False)


def test_where_nothing_is_applied_it_says_so(network: AppliedNetwork) -> None:
    assert "nothing is applied on this host" in run_capture(network, "ecs-1").stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("esc-1",), 1, "nothing live on this host is called esc-1. Did you mean ecs-1"),
        (("ecs-1", "--write", "/nowhere/out.pcapng"), 1, "cannot write /nowhere/out.pcapng: No such file or directory"),
        (("ecs-1", "--duration", "3"), 2, "3 is no duration"),
        (("ecs-1", "--host", "ecs-2"), 2, "ecs-2 is no IPv4 address or prefix"),
        (("ecs-1", "--host", "10.0.0.1/8"), 2, "has host bits set"),
        (("ecs-1", "--proto", "quic"), 2, "quic is no protocol"),
        (("ecs-1", "--proto", "icmp", "--port", "7"), 2, "icmp has no ports"),
        ((), 2, "missing argument"),
    ],
)
def test_what_cannot_be_captured_is_said(
    network: AppliedNetwork, arguments: tuple[str, ...], code: int, words: str
) -> None:
    network.must_apply(PEERED)
    done = run_capture(network, *arguments)
    assert done.returncode == code
    assert words in done.stderr
    assert done.stdout == ""
