"""Networks that span hosts: what every host compiles by itself fits together, and behaves as one host would."""

import os
from ipaddress import IPv4Address

import pytest

from dataplane.compile.compiler import compile_network
from dataplane.config import Loaded, Source, load_sources
from dataplane.model import names
from dataplane.model.ids import IdBook
from dataplane.model.kernel import FdbEntry, UnderlayFilter, Veth, VxlanLink
from tests.fakes.networks import THREE_HOSTS
from tests.fakes.several_hosts import SeveralHosts, drawn, without_hosts
from tests.fakes.walk import Fate, Walk

HOSTS = ("host-1", "host-2", "host-3")
NETWORKS = int(os.environ.get("DATAPLANE_RANDOM_NETWORKS", "40"))


def loaded(text: str) -> Loaded:
    return load_sources([Source("net.yaml", text)])


def objects(text: str, host: str, kind: type) -> list:
    desired = compile_network(loaded(text), IdBook(), {}, here=host)
    return [wish.object for wish in desired.wanted.values() if isinstance(wish.object, kind)]


def admitted(text: str, host: str, vtep: str, vni: int, source: str) -> bool:
    (found,) = objects(text, host, UnderlayFilter)
    address = IPv4Address(source)
    return any(
        (str(item.vtep), item.vni) == (vtep, vni) and item.first <= address <= item.last for item in found.admissions
    )


def test_each_host_has_its_own_part_and_nothing_of_the_others():
    walk = SeveralHosts(loaded(THREE_HOSTS))
    ids = {
        host: {str(item.resource) for item in desired.declared if item.resource.kind in ("vpc", "instance", "vswitch")}
        for host, desired in walk.desired.items()
    }
    assert ids == {
        "host-1": {"vpc vpc-a", "vswitch vsw-a1", "instance a1", "instance fw"},
        "host-2": {"vpc vpc-a", "vpc vpc-b", "vswitch vsw-a2", "vswitch vsw-b2", "instance a2", "instance b2"},
        "host-3": {"vpc vpc-b", "vswitch vsw-b3", "instance b3"},
    }


def test_d17_each_hosts_part_of_a_vpc_is_a_router():
    walk = SeveralHosts(loaded(THREE_HOSTS))
    fate = walk.send("host-1/dp-i-a1", "192.168.2.10")
    assert fate == Fate("delivered", "host-2/dp-i-a2", ("host-1/dp-vpc-vpc-a", "host-2/dp-vpc-vpc-a"))


def test_a_connection_is_a_veth_where_both_routers_are_and_a_tunnel_where_not():
    links = {host: objects(THREE_HOSTS, host, VxlanLink) + objects(THREE_HOSTS, host, Veth) for host in HOSTS}
    marks = {host: sorted(item.mark for item in found if "peering" in item.mark) for host, found in links.items()}
    tunnel, veth = "dataplane peering_tunnel/pcx", "dataplane peering_connection/pcx"
    assert marks == {"host-1": [tunnel], "host-2": [veth], "host-3": [tunnel]}
    walk = SeveralHosts(loaded(THREE_HOSTS))
    for source, destination in (("a1", "b3"), ("a2", "b3"), ("a1", "b2"), ("a2", "b2")):
        address = {"b2": "172.16.2.10", "b3": "172.16.3.10"}[destination]
        assert walk.send_from("vpc-a", source, address).where == f"dp-i-{destination}"


def test_an_instance_on_another_host_is_a_next_hop_and_what_comes_for_it_is_handed_to_it():
    walk = SeveralHosts(loaded(THREE_HOSTS))
    assert walk.send_from("vpc-a", "a2", "10.99.1.1") == Fate("delivered", "dp-i-fw", ("dp-vpc-vpc-a",))
    assert walk.send_from("vpc-a", "a1", "10.99.1.1").verdict == "unreachable"  # the system table has no such route
    # On the host of the next hop the tunnel's own table decides, for whatever address.
    assert walk.send_from("vpc-a", "a2", "10.99.1.1", source="192.168.2.77").where == "dp-i-fw"


def test_the_mtu_of_a_vpc_that_spans_hosts_is_the_smallest_underlays_less_50():
    assert {item.mtu for item in objects(THREE_HOSTS, "host-1", Veth)} == {1450}
    jumbo = THREE_HOSTS.replace("device: eth0}\n  host-2", "device: eth0, mtu: 9000}\n  host-2")
    assert {item.mtu for item in objects(jumbo, "host-1", VxlanLink) if "vpc_tunnel" in item.mark} == {8950}


def test_what_two_hosts_must_agree_on_is_equal_on_both():
    ends = {host: {item.mark: item for item in objects(THREE_HOSTS, host, VxlanLink)} for host in HOSTS}
    assert ends["host-1"]["dataplane vpc_tunnel/vpc-a"].vni == ends["host-2"]["dataplane vpc_tunnel/vpc-a"].vni
    assert ends["host-2"]["dataplane vpc_tunnel/vpc-a"].vni == names.vni("vpc", "vpc-a")
    assert ends["host-1"]["dataplane peering_tunnel/pcx"].vni == ends["host-3"]["dataplane peering_tunnel/pcx"].vni
    for host, link in (("host-1", ends["host-2"]), ("host-2", ends["host-1"])):
        entries = {(item.mac, str(item.vtep)) for item in objects(THREE_HOSTS, host, FdbEntry)}
        far = link["dataplane vpc_tunnel/vpc-a"]
        assert (far.mac, str(far.local)) in entries


def test_a_vni_in_the_file_is_used():
    text = THREE_HOSTS.replace("cidr: 192.168.0.0/16\n", "cidr: 192.168.0.0/16\n    vni: 77\n", 1)
    assert {item.vni for item in objects(text, "host-1", VxlanLink) if "vpc_tunnel" in item.mark} == {77}


def test_a_host_may_speak_for_its_own_instances_only():
    vni = names.vni("vpc", "vpc-a")
    host_1, host_2, host_3 = "172.20.0.11", "172.20.0.12", "172.20.0.13"
    # host-2 has no instance that forwards: its own vSwitch, and what the connection brings, never vpc-a's other part.
    assert admitted(THREE_HOSTS, "host-1", host_2, vni, "192.168.2.10")
    assert admitted(THREE_HOSTS, "host-1", host_2, vni, "172.16.3.10")
    assert not admitted(THREE_HOSTS, "host-1", host_2, vni, "192.168.1.10")
    # host-1's firewall forwards for others.
    assert admitted(THREE_HOSTS, "host-2", host_1, vni, "203.0.113.7")
    # host-3 has no part of vpc-a.
    assert not admitted(THREE_HOSTS, "host-1", host_3, vni, "172.16.3.10")
    assert not admitted(THREE_HOSTS, "host-1", "172.20.0.99", vni, "192.168.2.10")
    # By the connection comes nothing that claims to be from the VPC that it comes to.
    across = names.vni("peering_connection", "pcx")
    closed = THREE_HOSTS.replace(", forwarding: true", "")
    assert admitted(closed, "host-3", host_1, across, "192.168.1.10")
    assert not admitted(closed, "host-3", host_1, across, "172.16.3.10")
    assert not admitted(closed, "host-3", host_1, across, "203.0.113.7")


def test_a_suspended_connection_across_hosts_is_a_blackhole_at_both_ends():
    walk = SeveralHosts(loaded(THREE_HOSTS.replace("vpc: vpc-b}", "vpc: vpc-b, state: suspended}")))
    assert walk.send_from("vpc-a", "a1", "172.16.3.10").verdict == "blackhole"
    assert walk.send_from("vpc-b", "b3", "192.168.1.10").verdict == "blackhole"


def test_a_network_without_hosts_has_no_tunnel_and_no_filter():
    lines = [line for line in THREE_HOSTS.splitlines() if "host-" not in line and line != "hosts:"]
    lines.insert(lines.index("regions:") + 1, "  r: {}")
    desired = compile_network(loaded("\n".join(lines) + "\n"), IdBook(), {})
    assert not [w for w in desired.wanted.values() if isinstance(w.object, VxlanLink | UnderlayFilter | FdbEntry)]


def test_d16_what_comes_by_a_tunnel_of_the_vpc_reaches_no_router_interface():
    walk = SeveralHosts(loaded(THREE_HOSTS))
    tunnel = next(item for item in walk._of(VxlanLink) if item.mark == "dataplane vpc_tunnel/vpc-a")
    fate = walk._walk((tunnel.namespace, tunnel.ifname), IPv4Address("192.168.2.10"), IPv4Address("172.16.3.10"))
    assert fate.verdict == "unreachable"


@pytest.mark.parametrize("seed", range(NETWORKS))
def test_spread_over_hosts_a_network_does_what_it_does_on_one(seed: int):
    """Random networks: each packet has the same verdict, end and routers on one host and on three."""
    one, desired, several = drawn(seed)
    single, walk = Walk(wish.object for wish in desired.wanted.values()), SeveralHosts(several)
    targets = [str(address) for address in desired.addresses.values()]
    targets += ["10.0.1.77", "192.168.1.77", "172.16.0.1", "100.64.8.1", "203.0.113.7", "10.10.10.2"]
    for vpc_id, vpc in one.network.vpcs.items():
        for name, instance in vpc.instances.items():
            if instance.state != "running" or instance.attach is not None:
                continue
            others = [str(desired.addresses[other]) for other in vpc.instances if other != name]
            sources = ["", "203.0.113.9", *others[:1]] if instance.forwarding else [""]
            for target in targets:
                for source in sources:
                    expected = without_hosts(single.send(f"dp-i-{name}", target, source=source))
                    found = walk.send_from(vpc_id, name, target, source)
                    assert found == expected, f"seed {seed}: {name} -> {target} from {source or 'itself'}"


def test_the_random_networks_cross_hosts():
    """Else the property would say little: in most of them a packet has a tunnel to go by."""
    with_tunnels = [seed for seed in range(20) if SeveralHosts(drawn(seed)[2])._of(VxlanLink)]
    assert len(with_tunnels) >= 15
