"""Others at work on the same host: what is theirs stays as it is, and what they do to ours ends in a sentence at worst.

Longer runs: DATAPLANE_RECONCILES=1000 (P5; reliability B21-B24).
"""

import contextlib
import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataplane.agent.report import Report
from dataplane.datapath import libbpf
from dataplane.kernel import netns
from dataplane.kernel.netlink import NetlinkSocket
from dataplane.model import names
from tests.fakes.networks import ONE_LINE, PEERED
from tests.netns.fingerprint import differences, fingerprint
from tests.netns.lines import cable
from tests.netns.network import AppliedNetwork, our_namespaces
from tests.netns.objects import inside, run

RECONCILES = int(os.environ.get("DATAPLANE_RECONCILES", "100"))
_KIND = slice(4, 6)
_NFT_GETTABLE = 10 << 8 | 1
FOREIGN = """
ip netns add dp-vpc-vpc-3
ip -n dp-vpc-vpc-3 link set dev lo up
ip -n dp-vpc-vpc-3 link add name dpi1 index 1000001 type veth peer name dpr2 index 1000002
ip -n dp-vpc-vpc-3 link set dev dpr2 up
ip -n dp-vpc-vpc-3 link set dev dpi1 up
ip -n dp-vpc-vpc-3 addr add 10.0.1.253/32 dev lo
ip -n dp-vpc-vpc-3 nexthop add id 1 dev dpi1 protocol 219
ip -n dp-vpc-vpc-3 route add 10.9.0.0/16 dev dpi1 table 1001 protocol 219
ip -n dp-vpc-vpc-3 rule add pref 200 lookup 1001 protocol 219
ip -n dp-vpc-vpc-3 neigh add 10.9.9.9 lladdr 02:00:00:00:00:09 dev dpi1 nud permanent protocol 219
ip netns add web
ip -n web link add name eth0 type veth peer name far
ip -n web addr add 172.16.1.9/24 dev eth0
ip link add name dpr3 index 1000003 type veth peer name dpi4 index 1000004
ip addr add 198.51.100.1/32 dev dpr3
ip route add 198.51.100.0/24 dev lo table 1001 protocol 219
ip rule add pref 200 iif lo lookup 1001 protocol 219
"""
"""Each as somebody else might have made it before us, with names and numbers that we would choose."""
ATTACHED = PEERED.replace(
    "{ecs-1: {vswitch: vsw-1, ip: 172.16.1.10}}",
    "{ecs-1: {vswitch: vsw-1, ip: 172.16.1.10}, ecs-9: {vswitch: vsw-1, attach: {namespace: web}}}",
)


@pytest.fixture
def foreign(network: AppliedNetwork) -> Iterator[list[str]]:
    """Foreign objects, whose namespaces are yielded; they go after what is ours."""
    notes = Path("/run/netns/dp-i-ecs-2")
    netns.prepare_directory()
    try:
        for line in FOREIGN.strip().splitlines():
            run(*line.split())
        notes.write_text("notes of somebody")
        yield ["dp-vpc-vpc-3", "web"]
        assert network.session().destroy().is_done
        assert notes.read_text() == "notes of somebody"
    finally:
        notes.unlink(missing_ok=True)
        for line in ("netns del dp-vpc-vpc-3", "netns del web", "link del dev dpr3", "rule del pref 200"):
            subprocess.run(["ip", *line.split()], check=False, capture_output=True)
        subprocess.run(["ip", "route", "flush", "table", "1001"], check=False, capture_output=True)


def host_objects() -> list[str]:
    """The host's own links, addresses, routes and rules."""
    listed = "".join(run("ip", "-o", *what.split()) for what in ("link", "addr", "route show table all", "rule"))
    return sorted(line.rstrip() for line in listed.splitlines())


def sentences(report: Report) -> str:
    return "\n".join(str(outcome.error) for outcome in report.failures)


def test_21_what_was_there_before_us_is_named_and_never_touched(network: AppliedNetwork, foreign: list[str]) -> None:
    before, host = fingerprint(foreign), host_objects()
    report = network.apply(ATTACHED)
    assert report.rolled_back == ()
    said = sentences(report)
    for words in ("/run/netns/dp-vpc-vpc-3 stands where", "/run/netns/dp-i-ecs-2 stands where", "interface eth0"):
        assert words in said, said
    assert "cannot delete" not in said, "nothing of a stranger's is even tried"
    assert network.ping("ecs-1", "172.16.1.253"), "what nothing stands in the way of is there"
    for _ in range(RECONCILES):
        again = network.apply(ATTACHED)
        assert sorted(str(one.error) for one in again.failures) == sorted(str(one.error) for one in report.failures)
    assert differences(before, fingerprint(foreign)) == []
    assert host_objects() == host
    states = {str(state.resource) for state in network.session().status().unhealthy}
    assert {"vpc vpc-3", "instance ecs-2", "instance ecs-9", "instance ecs-3"} <= states
    assert "instance ecs-1" not in states


def test_21_the_check_of_foreign_objects_can_fail(foreign: list[str]) -> None:
    before, host = fingerprint(foreign), host_objects()
    run("ip", "-n", "web", "link", "set", "dev", "far", "up")
    run("ip", "addr", "del", "198.51.100.1/32", "dev", "dpr3")
    assert differences(before, fingerprint(foreign)) != []
    assert host_objects() != host


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """Netlink messages by type."""
    counted: Counter[int] = Counter()
    send = NetlinkSocket._send

    def counting(socket: NetlinkSocket, data: bytes | bytearray) -> None:
        rest = bytes(data)
        while rest:
            counted[int.from_bytes(rest[_KIND], "little")] += 1
            rest = rest[(int.from_bytes(rest[:4], "little") + 3) & ~3 :]
        send(socket, data)

    monkeypatch.setattr(NetlinkSocket, "_send", counting)
    return counted


def writing(sent: Counter[int]) -> list[int]:
    """The types of messages that do not only ask: RTM_GET* are two above a multiple of four."""
    return [kind for kind in sent if kind % 4 != 2 and kind != _NFT_GETTABLE]


def files_of(*folders: Path) -> dict[str, tuple[int, ...]]:
    """Every file and folder with what changes when anybody writes to it."""
    found = [path for folder in folders for path in (folder, *folder.rglob("*"))]
    states = ((path, path.lstat()) for path in found)
    return {str(path): (one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns) for path, one in states}


def writes_of_this_process() -> int:
    """System calls that wrote to a file so far, as the kernel counts them: also those of SQLite and to /proc/sys."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["syscw"])


def test_22_a_reconcile_with_nothing_to_do_writes_nothing(
    network: AppliedNetwork, sent: Counter[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No netlink message but those that ask, no map, no file, no mount."""
    bpf: Counter[str] = Counter()
    with cable("wire0"):
        network.must_apply(ONE_LINE)
        for name in ("update", "delete"):
            monkeypatch.setattr(libbpf, name, lambda *_, name=name: bpf.update([name]))
        folders = (network.folder, Path("/run/netns"), Path("/run/dataplane"))
        sent.clear()
        before = files_of(*folders), Path("/proc/self/mountinfo").read_text(), writes_of_this_process()
        for _ in range(RECONCILES):
            assert network.apply(ONE_LINE).planned.actions == ()
        assert (files_of(*folders), Path("/proc/self/mountinfo").read_text(), writes_of_this_process()) == before
        assert writing(sent) == []
        assert sent.total() > 10 * RECONCILES
        assert bpf == Counter()
        monkeypatch.undo()
        assert network.session().destroy().is_done


def test_22_the_counts_of_writes_can_fail(network: AppliedNetwork, sent: Counter[int]) -> None:
    """A repair is seen at every one of the places that are looked at."""
    network.must_apply(PEERED)
    run("ip", "-n", "dp-vpc-vpc-1", "nexthop", "flush")
    inside("dp-vpc-vpc-1", "sh", "-c", "echo 0 > /proc/sys/net/ipv4/ip_forward")
    sent.clear()
    before = files_of(network.folder), writes_of_this_process()
    assert network.apply(PEERED.replace("    account: corp", "    name: Office\n    account: corp", 1)).is_done
    assert writing(sent) != []
    after = files_of(network.folder), writes_of_this_process()
    assert after[0] != before[0]
    assert after[1] > before[1] + 1, "the setting and the state file"


@contextlib.contextmanager
def somebody(*commands: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program that works beside us until it ends or the block does."""
    script = "\n".join(commands)
    process = subprocess.Popen(["sh", "-c", script], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_23_a_program_that_takes_our_objects_away_again_and_again(network: AppliedNetwork) -> None:
    """Each apply ends: with all done, or with what is left in words."""
    network.must_apply(PEERED)
    route = f"ip -n dp-vpc-vpc-1 route del 192.168.0.0/16 table {names.table_number(1)}"
    rule = "ip -n dp-vpc-vpc-1 rule del pref 200"
    missed = repaired = 0
    with somebody(f"while :; do {route}; sleep 0.02; {rule}; sleep 0.01; done") as other:
        for _ in range(RECONCILES):
            report = network.apply(PEERED)
            repaired += bool(report.planned.actions)
            missed += not report.is_done
            assert report.is_done or report.failures or report.remaining
            assert report.rolled_back == ()
        assert other.poll() is None
    assert repaired > 0, "the other program was never in time"
    assert missed < RECONCILES, "no apply ever got through"
    network.must_apply(PEERED)
    assert network.ping("ecs-1", "192.168.1.10")


def test_24_a_thousand_foreign_links_that_come_and_go_while_we_look(network: AppliedNetwork) -> None:
    """Links of others on the host: nothing of them is taken for ours, none of ours for gone."""
    network.must_apply(PEERED)
    lines = []
    for _ in range(10):
        lines += [f"link add name foreign{n} group 77 type veth peer name foreign-{n} group 77" for n in range(100)]
        lines.append("link del group 77")
    batch = network.folder / "batch"
    batch.write_text("\n".join(lines) + "\n")
    looked = 0
    with somebody(f"exec ip -batch {batch}") as other:
        deadline = time.monotonic() + 60
        while other.poll() is None and time.monotonic() < deadline:
            assert network.session().status().is_healthy
            assert network.apply(PEERED).planned.actions == ()
            looked += 1
        assert other.wait() == 0
    assert looked >= 3
    assert "foreign" not in run("ip", "-o", "link")
    assert len(our_namespaces()) == 6
