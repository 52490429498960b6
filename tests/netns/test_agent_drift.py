"""Other programs, the kernel itself and the agent's own doing over time: what is kept stays as it is (reliability B).

Longer: DATAPLANE_FIGHT=600 and DATAPLANE_FOREIGN=60 (seconds), DATAPLANE_ROUTES=10000, DATAPLANE_CYCLES=1000.
"""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dataplane.datapath import forwarder, libbpf
from dataplane.kernel import netns
from dataplane.kernel.monitor import Monitor
from tests.fakes.networks import PEERED, TWO_CIRCUITS
from tests.netns.agent import PATIENCE_S, AgentHost, wait
from tests.netns.changes import SPANNING
from tests.netns.fingerprint import differences, fingerprint
from tests.netns.lines import cable
from tests.netns.network import hooked, our_namespaces
from tests.netns.objects import run
from tests.netns.test_network_foreign import files_of
from tests.netns.test_network_repair import ifname

FIGHT_S = float(os.environ.get("DATAPLANE_FIGHT", "12"))
FOREIGN_S = float(os.environ.get("DATAPLANE_FOREIGN", "5"))
ROUTES = int(os.environ.get("DATAPLANE_ROUTES", "2000"))
CYCLES = int(os.environ.get("DATAPLANE_CYCLES", "10"))
TC = hooked(PEERED, "tc")
ROUTER = "dp-vpc-vpc-1"
TICKS = os.sysconf("SC_CLK_TCK")


def test_20_a_wrong_next_hop_in_a_map_is_found(host: AgentHost) -> None:
    """Nobody tells: the comparison of everything does (P3)."""
    host.start(TC, "--compare-every", "1")
    newest = host.newest
    with forwarder.adopted() as present:
        assert present is not None
        fd = present._fds["dp_nexthop"]
        info = libbpf.map_info(fd)
        entries = dict(libbpf.read_all(fd, info.key_size, info.value_size))
        key = next(key for key, value in entries.items() if any(value))
        libbpf.update(fd, key, bytes(255 - byte for byte in entries[key]))
        assert not host.client.status().is_healthy
        host.wait_for("repaired", newest)
    host.wait_until_healthy()
    assert host.network.ping("ecs-1", "192.168.1.10")


def test_20_a_table_taken_out_of_a_map_is_found(host: AgentHost) -> None:
    host.start(TC, "--compare-every", "1")
    with forwarder.adopted() as present:
        assert present is not None
        fd = present._fds["dp_fib_table"]
        info = libbpf.map_info(fd)
        entries = dict(libbpf.read_all(fd, info.key_size, info.value_size))
        libbpf.update(fd, next(key for key, value in entries.items() if any(value)), bytes(info.value_size))
        wait("the routes", lambda: dict(libbpf.read_all(fd, info.key_size, info.value_size)) == entries)


def test_17_a_link_under_many_routes_is_rebuilt_with_all_of_them(host: AgentHost) -> None:
    """One VPC has as many routes over one connection; the connection's link is deleted."""
    prefixes = [f"192.{168 + n // 65536}.{n // 256 % 256}.{n % 256}/32" for n in range(ROUTES)]
    route = "{destination: 192.168.0.0/16, next_hop: {router_interface: ri-1}}"
    many = ", ".join([route, *(route.replace("192.168.0.0/16", prefix) for prefix in prefixes)])
    quota = f"version: 1\nquotas: {{custom_routes_per_table: {ROUTES + 10}}}\n"
    host.start(TC.replace(route, many).replace("version: 1\n", quota, 1))
    before = len(run("ip", "-n", ROUTER, "route", "show", "table", "1001").splitlines())
    assert before > ROUTES
    since = time.monotonic()
    run("ip", "-n", ROUTER, "link", "del", "dev", ifname("dpr"))
    wait("all routes", lambda: len(run("ip", "-n", ROUTER, "route", "show", "table", "1001").splitlines()) == before)
    print(f"{ROUTES} routes were back after {time.monotonic() - since:.2f} s")
    host.wait_until_healthy()
    assert host.network.ping("ecs-1", "192.168.1.10")


def test_18_a_carrier_that_is_lost_takes_the_leg_down_at_once(host: AgentHost) -> None:
    """Without a probe: the check of this network takes 16 s (R39)."""
    with cable("eth1", "idc-1"), cable("eth2", "idc-2"):
        host.start(hooked(TWO_CIRCUITS, "tc"))
        newest = host.newest
        time.sleep(1.1)  # the kernel tells of carriers once a second, and the cable has just been laid (linkwatch)
        since = time.monotonic()
        run("ip", "-n", "idc-1", "link", "set", "dev", "up0", "down")
        (flip,) = host.wait_for("state", newest)
        print(f"the leg was down after {time.monotonic() - since:.2f} s")
        assert (flip.resource, flip.after) == ("ri-a1", "down")
        assert "carrier" in flip.cause
        host.kill()
        assert host.network.session().destroy().is_done


def test_19_an_entry_of_the_forwarding_table_of_a_tunnel_is_put_back(host: AgentHost) -> None:
    with cable("wire0"):
        run("ip", "addr", "add", "172.20.0.11/24", "dev", "wire0")
        host.start(SPANNING, "--host", "host-1")
        clean, newest = fingerprint(our_namespaces()), host.newest
        for namespace in our_namespaces():
            for line in run("bridge", "-n", namespace, "fdb", "show").splitlines():
                if " dst " in line:
                    words = line.split()
                    run("bridge", "-n", namespace, "fdb", "del", words[0], "dev", words[2], *words[3:5])
        since = time.monotonic()
        host.wait_for("repaired", newest)
        print(f"the first entry was back after {time.monotonic() - since:.2f} s")
        host.wait_until_healthy()
        assert differences(clean, fingerprint(our_namespaces())) == []
        host.kill()
        assert host.network.session().destroy().is_done


def test_21_what_is_not_ours_survives_many_rounds(host: AgentHost) -> None:
    """A namespace with the name of one of ours, and foreign objects inside of ours."""
    run("ip", "netns", "add", "dp-vpc-vpc-3")
    try:
        run("ip", "-n", "dp-vpc-vpc-3", "link", "set", "dev", "lo", "up")
        run("ip", "-n", "dp-vpc-vpc-3", "addr", "add", "198.51.100.1/32", "dev", "lo")
        host.start(TC, "--compare-every", "0.2")
        assert "/run/netns/dp-vpc-vpc-3 stands where" in host.said
        assert host.network.ping("ecs-1", "192.168.1.10"), "the others are made"
        run("ip", "-n", ROUTER, "route", "add", "203.0.113.0/24", "dev", "lo", "table", "77")
        run("ip", "-n", ROUTER, "addr", "add", "203.0.113.5/24", "dev", "lo")
        time.sleep(0.5)
        before = fingerprint([ROUTER, "dp-vpc-vpc-3"])
        time.sleep(5)
        assert differences(before, fingerprint([ROUTER, "dp-vpc-vpc-3"])) == []
        assert [event for event in host.events() if event.what == "repaired"] == []
    finally:
        run("ip", "netns", "del", "dp-vpc-vpc-3")
    # What was in the way is gone, and its own resources are made; what stands in other places is named all the same.
    wait("vpc-3", lambda: not host.client.status().unhealthy)
    assert len(host.client.status().foreign) == 2
    assert host.network.ping("ecs-2", "10.0.1.10")


def test_22_rounds_with_nothing_to_do_write_nothing(host: AgentHost) -> None:
    """No message of a changed object anywhere, no file, no system call that writes."""
    host.start(TC, "--compare-every", "0.2")
    wait("a quiet second", lambda: _rounds(host) > 3)
    with Monitor() as monitor:
        monitor.watch(netns.list_our_names())
        monitor.read()
        before = files_of(host.state_dir, Path("/run/netns"), Path("/run/dataplane")), _written(host.pid)
        time.sleep(3)
        # Nothing but a byte for the prober now and then, on a socket that no file is behind.
        after = files_of(host.state_dir, Path("/run/netns"), Path("/run/dataplane")), _written(host.pid)
        assert not monitor.read()
    assert after == before


def test_22_the_counts_of_writes_can_fail(host: AgentHost) -> None:
    host.start(TC)
    with Monitor() as monitor:
        monitor.watch(netns.list_our_names())
        monitor.read()
        before = files_of(host.state_dir), _written(host.pid)
        run("ip", "-n", ROUTER, "route", "del", "192.168.0.0/16", "table", "1001")
        host.wait_until_healthy()
        assert ROUTER in monitor.read().namespaces
        after = files_of(host.state_dir), _written(host.pid)
    assert before[0] != after[0]
    assert before[1] < after[1]


def test_23_a_fight_over_a_route_is_left_off(host: AgentHost) -> None:
    """Somebody deletes it ten times a second: it is put back ever more rarely, and it is said who is undone."""
    host.start(TC)
    newest, used, since = host.newest, _cpu_s(host.pid), time.monotonic()
    with _repeated("route del 192.168.0.0/16 table 1001", 0.1):
        time.sleep(FIGHT_S)
        share = (_cpu_s(host.pid) - used) / (time.monotonic() - since)
    repairs = [event for event in host.events(newest, "repaired") if event.kind == "route"]
    print(f"{len(repairs)} repairs in {FIGHT_S:g} s with {share:.0%} of a core")
    assert share < 0.5
    assert 3 <= len(repairs) <= 3 + FIGHT_S / 2
    assert [event for event in host.events(newest, "undone") if "again and again" in event.cause]
    wait("peace", lambda: host.client.status().is_healthy, 60 + PATIENCE_S)


def test_24_others_links_by_the_thousand_cost_little(host: AgentHost) -> None:
    """Links come and go in the host's namespace as fast as the kernel makes them."""
    host.start(TC)
    newest, used, memory, since = host.newest, _cpu_s(host.pid), _resident_bytes(host.pid), time.monotonic()
    pairs = 0
    while time.monotonic() - since < FOREIGN_S:
        lines = "".join(f"link add f{n} group 7 type veth peer name g{n} group 7\n" for n in range(500))
        subprocess.run(["ip", "-batch", "-"], input=lines, text=True, check=True, capture_output=True)
        run("ip", "link", "del", "group", "7")
        pairs += 500
    took = time.monotonic() - since
    share = (_cpu_s(host.pid) - used) / took
    grown = _resident_bytes(host.pid) - memory
    print(f"{pairs / took:.0f} pairs a second: {share:.0%} of a core, {grown / 1e6:+.1f} MB")
    assert share < 1
    assert grown < 50_000_000
    since = time.monotonic()
    run("ip", "-n", ROUTER, "route", "del", "192.168.0.0/16", "table", "1001")
    host.wait_for("repaired", newest)
    host.wait_until_healthy()


def test_25_cycles_over_the_api_leave_nothing(host: AgentHost) -> None:
    host.start(TC)
    for _ in range(3):
        assert host.client.destroy().is_done
        host.must_apply(TC)
    before, memory = _held_at_rest(host.pid), _resident_bytes(host.pid)
    for _ in range(CYCLES):
        assert host.client.destroy().is_done
        host.must_apply(TC)
    wait("the API's threads to end", lambda: _held(host.pid) == before)
    grown = _resident_bytes(host.pid) - memory
    print(f"{CYCLES} cycles: {grown / 1e6:+.2f} MB")
    assert grown < 5_000_000


@contextmanager
def _repeated(command: str, every_s: float) -> Iterator[None]:
    """Somebody's program that does one thing over and over."""
    has_ended = threading.Event()

    def work() -> None:
        while not has_ended.wait(every_s):
            subprocess.run(["ip", "-n", ROUTER, *command.split()], check=False, capture_output=True)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        has_ended.set()
        thread.join()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _written(pid: int) -> int:
    """System calls of write so far."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["syscw"])


def _rounds(host: AgentHost) -> int:
    return _written(host.pid)


def _held_at_rest(pid: int) -> tuple[list[str], int]:
    """The same, once the thread and the connection of the last request have ended."""
    while True:
        found = _held(pid)
        time.sleep(0.3)
        if _held(pid) == found:
            return found


def _held(pid: int) -> tuple[list[str], int]:
    """Descriptors and threads."""
    found = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(str(path.readlink()))
        except FileNotFoundError:
            continue
    return sorted(found), len(list(Path(f"/proc/{pid}/task").iterdir()))
