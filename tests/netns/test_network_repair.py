"""What hands break, what a death leaves half done, what is not ours: mended, finished, left alone by the next apply."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from dataplane.kernel import netns
from dataplane.model.kernel import ForwarderState
from tests.fakes.networks import PEERED, TWO_CIRCUITS
from tests.netns.fingerprint import differences, fingerprint
from tests.netns.lines import cable
from tests.netns.network import AppliedNetwork, our_namespaces
from tests.netns.objects import inside, process_in_namespace, run, set_sysctl

ROOT = Path(__file__).resolve().parents[2]
DAMAGE = {
    "route": ["ip -n dp-vpc-vpc-1 route del 192.168.0.0/16 table 1001"],
    "rule": ["ip -n dp-vpc-vpc-1 rule del pref 200"],
    "default rules back": ["ip -n dp-vpc-vpc-1 rule add pref 32766 lookup main"],
    "next hop": ["ip -n dp-vpc-vpc-1 nexthop flush"],
    "neighbour": ["ip -n dp-vpc-vpc-1 neigh flush nud permanent"],
    "gateway": ["ip -n dp-vpc-vpc-1 addr del 172.16.1.253/32 dev lo"],
    "address": ["ip -n dp-i-ecs-1 addr flush dev eth0"],
    "instance link down": ["ip -n dp-i-ecs-1 link set dev eth0 down"],
    "transit link down": ["ip -n dp-vpc-vpc-1 link set dev {transit} down"],
    "link deleted": ["ip -n dp-vpc-vpc-1 link del dev {transit}"],
    "link renamed": ["ip -n dp-i-ecs-1 link set dev eth0 down", "ip -n dp-i-ecs-1 link set dev eth0 name other"],
    "link moved": ["ip netns add elsewhere", "ip -n dp-i-ecs-1 link set dev eth0 netns elsewhere"],
    "MTU": ["ip -n dp-i-ecs-1 link set dev eth0 mtu 1280"],
    "MAC": ["ip -n dp-i-ecs-1 link set dev eth0 address 02:00:00:00:00:99"],
    "instance namespace": ["ip netns del dp-i-ecs-1"],
    "router namespace": ["ip netns del dp-vpc-vpc-1"],
    "ip_forward": ["sysctl net/ipv4/ip_forward 0"],
    "rp_filter": ["sysctl net/ipv4/conf/all/rp_filter 2"],
    "default route": ["ip -n dp-i-ecs-1 route del default"],
    "route changed": ["ip -n dp-vpc-vpc-1 route change blackhole 192.168.0.0/16 table 1001 protocol 219"],
    "closing route": ["ip -n dp-vpc-vpc-1 route flush table 1001 type unreachable"],
    "next hop changed": ["ip -n dp-vpc-vpc-1 nexthop replace id 1 blackhole protocol 219"],
    "neighbour changed": [
        "ip -n dp-vpc-vpc-1 neigh replace 172.16.1.10 lladdr 02:00:00:00:00:99 dev {port} nud permanent"
    ],
    "one neighbour": ["ip -n dp-vpc-vpc-1 neigh del 169.254.0.1 dev {transit}"],
    "route more": ["ip -n dp-vpc-vpc-1 route add blackhole 192.168.1.0/24 table 1001 protocol 219"],
    "rule more": ["ip -n dp-vpc-vpc-1 rule add pref 10 lookup 1002 protocol 219"],
    "next hop more": ["ip -n dp-vpc-vpc-1 nexthop add id 77 blackhole protocol 219"],
    "neighbour more": [
        "ip -n dp-vpc-vpc-1 neigh add 172.16.1.77 lladdr 02:00:00:00:00:77 dev {port} nud permanent protocol 219"
    ],
    "alias of an end": ["ip -n dp-i-ecs-1 link set dev eth0 alias {empty}"],
    "alias of the router's end": ["ip -n dp-vpc-vpc-1 link set dev {port} alias {empty}"],
    "alias of another": ["ip -n dp-vpc-vpc-1 link set dev {port} alias dataplane{blank}instance/ecs-7"],
    "proxy_arp": ["sysctl net/ipv4/conf/{port}/proxy_arp 0"],
    "rp_filter of a port": ["sysctl net/ipv4/conf/{port}/rp_filter 0"],
    "IPv6 switched on": ["sysctl net/ipv6/conf/all/disable_ipv6 0"],
    "port down": ["ip -n dp-vpc-vpc-1 link set dev {port} down"],
    "loopback down": ["ip -n dp-vpc-vpc-1 link set dev lo down"],
    "loopback of an instance down": ["ip -n dp-i-ecs-1 link set dev lo down"],
    "port renamed": [
        "ip -n dp-vpc-vpc-1 link set dev {port} down",
        "ip -n dp-vpc-vpc-1 link set dev {port} name dpi9999",
    ],
    "port moved": ["ip netns add elsewhere", "ip -n dp-vpc-vpc-1 link set dev {port} netns elsewhere"],
    "port deleted": ["ip -n dp-vpc-vpc-1 link del dev {port}"],
    "MTU of a port": ["ip -n dp-vpc-vpc-1 link set dev {port} mtu 1280"],
    "MAC of a port": ["ip -n dp-vpc-vpc-1 link set dev {port} address 02:00:00:00:00:98"],
    "MAC of a transit link": ["ip -n dp-vpc-vpc-1 link set dev {transit} address 02:00:00:00:00:97"],
    "everything": ["ip netns del dp-vpc-vpc-1", "ip netns del dp-vpc-vpc-2", "ip netns del dp-i-ecs-1"],
}


BALANCED = TWO_CIRCUITS.replace("{active_standby: {active: ri-a1, standby: ri-a2}}", "{load_balance: [ri-a1, ri-a2]}")


def ifname(prefix: str) -> str:
    """The first interface of that kind in vpc-1's router."""
    listed = run("ip", "-n", "dp-vpc-vpc-1", "-o", "link").split()
    return next(word.split("@")[0] for word in listed if word.startswith(prefix))


def do_damage(tool: str, *words: str) -> None:
    if tool == "sysctl":
        set_sysctl("dp-vpc-vpc-1", *words)
    else:
        run(tool, *words)


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_by_hand_is_seen_and_repaired(network: AppliedNetwork, damage: str) -> None:
    """Reliability B19, as far as it needs no daemon: `status` says it, one apply mends it, and traffic is back."""
    network.must_apply(PEERED)
    places = {"transit": ifname("dpr"), "port": ifname("dpi")}
    for command in DAMAGE[damage]:
        words = [word.format(**places, empty="", blank=" ") for word in command.split()]
        do_damage(*words)
    try:
        assert not network.session().status().is_healthy
        report = network.must_apply(PEERED)
        assert report.planned.actions
        assert network.session().status().is_healthy
        assert network.ping("ecs-1", "192.168.1.10")
    finally:
        subprocess.run(["ip", "netns", "del", "elsewhere"], check=False, capture_output=True)


GROUP_DAMAGE = {
    "group deleted": "nexthop del id {group}",
    "leg of the group deleted": "nexthop del id {leg}",
    "group reduced": "nexthop replace id {group} group {leg} type resilient",
    "leg by another neighbour": "nexthop replace id {leg} dev {device} via 169.254.0.2 protocol 219 onlink",
}


@pytest.fixture
def lines(network: AppliedNetwork) -> Iterator[None]:
    """Two cards that lines end at, with nobody at their far ends."""
    with ExitStack() as stack:
        for number in (1, 2):
            stack.enter_context(cable(f"eth{number}", f"idc-{number}"))
        yield
        assert network.session().destroy().is_done


def test_damage_to_a_group_is_seen_and_repaired(network: AppliedNetwork, lines: None) -> None:
    """Also the buckets that its flows are spread over are there again."""
    network.must_apply(BALANCED)
    clean = fingerprint(our_namespaces())
    listed = run("ip", "-n", "dp-vpc-vpc-a", "nexthop", "show").splitlines()
    places = {
        "group": next(line.split()[1] for line in listed if " group " in line),
        "leg": next(line.split()[1] for line in listed if " dev " in line),
        "device": next(line.split(" dev ")[1].split()[0] for line in listed if " dev " in line),
    }
    for what, command in GROUP_DAMAGE.items():
        run("ip", "-n", "dp-vpc-vpc-a", *command.format(**places).split())
        assert not network.session().status().is_healthy, what
        network.must_apply(BALANCED)
        assert differences(clean, fingerprint(our_namespaces())) == [], what


def test_a_namespace_that_lost_its_mark_is_taken_for_a_strangers(network: AppliedNetwork) -> None:
    """Name and mark together make it ours: without the mark it is named, and left alone."""
    network.must_apply(PEERED)
    run("ip", "-n", "dp-i-ecs-1", "link", "set", "dev", "lo", "alias", "")
    report = network.apply(PEERED)
    assert "/run/netns/dp-i-ecs-1 stands where" in str([outcome.error for outcome in report.failures])
    assert report.rolled_back == ()
    run("ip", "netns", "del", "dp-i-ecs-1")
    network.must_apply(PEERED)
    assert network.ping("ecs-1", "192.168.1.10")


@pytest.mark.parametrize("name", ["dp-i-ecs-1", "dp-vpc-vpc-1"])
def test_26_a_namespace_that_loses_its_name_under_a_process_is_made_anew(network: AppliedNetwork, name: str) -> None:
    """The old one lives on with its process, which is named; nothing of it is in the way of the new one."""
    network.must_apply(PEERED)
    with netns.entered(name):
        process = subprocess.Popen(["sleep", "61"])
    try:
        run("ip", "netns", "del", name)
        report = network.must_apply(PEERED)
        said = [note for note in report.planned.notes if "lost its name" in note]
        assert len(said) == 1 and f"a {name} " in said[0] and f"{process.pid} (sleep 61)" in said[0]
        assert network.ping("ecs-1", "192.168.1.10")
        assert network.session().status().is_healthy
        assert not [note for note in network.apply(PEERED).planned.notes if "lost its name" in note], "said once"
    finally:
        process.kill()
        process.wait()


def test_r85_an_instance_stops_takes_another_address_and_starts(network: AppliedNetwork) -> None:
    network.must_apply(PEERED)
    stopped = PEERED.replace("ip: 172.16.1.10}", "ip: 172.16.1.10, state: stopped}")
    network.must_apply(stopped)
    assert not network.ping("ecs-2", "172.16.1.10")
    network.must_apply(stopped.replace("ip: 172.16.1.10", "ip: 172.16.1.20"))
    network.must_apply(PEERED.replace("ip: 172.16.1.10", "ip: 172.16.1.20"))
    assert network.ping("ecs-2", "172.16.1.20")
    assert network.ping("ecs-1", "192.168.1.10")


def test_an_edit_changes_only_what_differs(network: AppliedNetwork) -> None:
    """A stream through vpc-1 and vpc-2 loses nothing while vpc-3 goes and comes (reliability D42)."""
    network.must_apply(PEERED)
    two = PEERED[: PEERED.index("  vpc-3:")] + PEERED[PEERED.index("peering_connections:") : PEERED.index("  pcx-2")]
    two = two.replace("          - {destination: 10.0.0.0/8, next_hop: {router_interface: ri-3}}\n", "")
    with netns.entered("dp-i-ecs-1"):
        stream = subprocess.Popen(
            ["ping", "-q", "-i", "0.002", "-c", "500", "192.168.1.10"], stdout=subprocess.PIPE, text=True
        )
    report = network.must_apply(two)
    network.must_apply(PEERED)
    output, _ = stream.communicate(timeout=30)
    assert "500 packets transmitted, 500 received, 0% packet loss" in output
    objects = [action.object for action in report.planned.actions]
    assert not [item for item in objects if "vpc-1" in str(item) and not isinstance(item, ForwarderState)]


@pytest.mark.parametrize("how", ["name", "pid"])
def test_attach_plugs_in_what_others_made_and_leaves_it_standing(network: AppliedNetwork, how: str) -> None:
    run("ip", "netns", "add", "web")
    try:
        run("ip", "-n", "web", "link", "set", "dev", "lo", "up")
        with netns.entered("web"):
            process = subprocess.Popen(["sleep", "60"])
        target = "namespace: web" if how == "name" else f"pid: {process.pid}"
        text = PEERED.replace("ip: 172.16.1.10}", f"ip: 172.16.1.10, attach: {{{target}}}}}")
        network.must_apply(text)
        assert inside("web", "ping", "-c1", "-W1", "192.168.1.10").returncode == 0
        assert inside("dp-i-ecs-2", "ping", "-c1", "-W1", "172.16.1.10").returncode == 0
        assert network.session().destroy().is_done
        assert "eth0" not in inside("web", "ip", "-o", "link").stdout
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
        run("ip", "netns", "del", "web")


def test_an_absent_namespace_holds_up_its_own_instance_only(network: AppliedNetwork) -> None:
    text = PEERED.replace(
        "ip: 172.16.1.10}",
        "ip: 172.16.1.10, attach: {namespace: not-there}}, ecs-8: {vswitch: vsw-1, ip: 172.16.1.8}",
    )
    report = network.apply(text)
    assert not report.is_done and report.rolled_back == ()
    assert any("not-there" in str(outcome.error) for outcome in report.failures)
    states = {str(state.resource): state.reason for state in network.session().status().unhealthy}
    assert "there is no namespace not-there to attach to" in states["instance ecs-1"]
    assert network.ping("ecs-8", "192.168.1.10")
    run("ip", "netns", "add", "not-there")
    try:
        network.must_apply(text)
        assert inside("not-there", "ping", "-c1", "-W1", "192.168.1.10").returncode == 0
        network.session().destroy()
    finally:
        run("ip", "netns", "del", "not-there")


def test_foreign_objects_survive_everything(network: AppliedNetwork) -> None:
    """P5, reliability B21: a namespace with our name, a route and an address in ours, a link in the way."""
    run("ip", "netns", "add", "dp-vpc-vpc-3")
    run("ip", "-n", "dp-vpc-vpc-3", "link", "set", "dev", "lo", "up")
    try:
        report = network.apply(PEERED)
        assert any("dp-vpc-vpc-3" in str(outcome.error) for outcome in report.failures)
        assert network.ping("ecs-1", "192.168.1.10"), "the other VPCs are applied"
        run("ip", "-n", "dp-vpc-vpc-1", "route", "add", "203.0.113.0/24", "dev", "lo", "table", "77")
        run("ip", "-n", "dp-i-ecs-1", "addr", "add", "203.0.113.5/24", "dev", "lo")
        network.apply(PEERED)
        assert "203.0.113.0/24" in run("ip", "-n", "dp-vpc-vpc-1", "route", "show", "table", "77")
        assert "203.0.113.5" in run("ip", "-n", "dp-i-ecs-1", "addr")
        network.session().destroy()
        assert our_namespaces() == ["dp-vpc-vpc-3"]
        assert "alias" not in run("ip", "-n", "dp-vpc-vpc-3", "-d", "link")
    finally:
        run("ip", "netns", "del", "dp-vpc-vpc-3")


def test_destroy_names_processes_that_still_live_inside(network: AppliedNetwork) -> None:
    """kernel.md, section 5: such a namespace lives on without its name, and without any link."""
    network.must_apply(PEERED)
    with netns.entered("dp-i-ecs-1"):
        process = subprocess.Popen(["sleep", "60"])
    try:
        report = network.session().destroy()
        assert report.is_done
        assert any(str(process.pid) in note and "dp-i-ecs-1" in note for note in report.planned.notes)
        deadline = time.monotonic() + 5
        while "eth0" in _links_of(process.pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "eth0" not in _links_of(process.pid)
    finally:
        process.kill()
        process.wait()


def _links_of(pid: int) -> str:
    return inside(f"pid:{pid}", "ip", "-o", "link").stdout


def test_pid_reference_of_a_dead_process_is_one_sentence(network: AppliedNetwork) -> None:
    with process_in_namespace() as pid:
        pass
    report = network.apply(PEERED.replace("ip: 172.16.1.10}", f"ip: 172.16.1.10, attach: {{pid: {pid}}}}}"))
    assert any(f"process {pid} does not run" in str(outcome.error) for outcome in report.failures)
    assert report.rolled_back == ()


def test_a_lost_state_file_moves_no_attached_instance(network: AppliedNetwork) -> None:
    """Style, rule 6: its link lies in a namespace that only the file names; its address was chosen, not written."""
    run("ip", "netns", "add", "web")
    attached = "ecs-1: {vswitch: vsw-1, attach: {namespace: web}}"
    text = PEERED.replace("ecs-1: {vswitch: vsw-1, ip: 172.16.1.10}", attached)
    try:
        network.must_apply(text)
        (network.folder / "state" / "state.sqlite").unlink()
        text = text.replace(attached, f"ecs-0: {{vswitch: vsw-1}}, {attached}")
        report = network.must_apply(text)
        assert "172.16.1.1/24" in inside("web", "ip", "-o", "addr").stdout
        assert not [a for a in report.planned.actions if a.object.key == ("veth", "dataplane instance/ecs-1")]
        assert network.session().destroy().is_done
    finally:
        run("ip", "netns", "del", "web")
