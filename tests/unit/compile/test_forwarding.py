"""The forwarder's state says what the kernel objects say; what it cannot say, it leaves to the kernel."""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from dataplane.compile.compiler import compile_network
from dataplane.compile.forwarding import NOBODY, compile_forwarding
from dataplane.compile.leg import GroupName
from dataplane.model.desired import NOTHING, Desired, Wanted
from dataplane.model.forwarding import (
    Forwarding,
    GroupMode,
    How,
    Leaf,
    LeafKind,
    Learned,
    LegState,
    Port,
    PortKind,
    Reason,
    stop,
)
from dataplane.model.ids import IdBook
from dataplane.model.kernel import (
    Address,
    KernelObject,
    KernelRoute,
    Namespace,
    Neighbour,
    RouteType,
    Rule,
    Sysctl,
    Veth,
    VethEnd,
)
from dataplane.model.resource import NOWHERE, Resource
from lab.topology import TOPOLOGIES
from tests.fakes.networks import PEERED, desired, network

ANYWHERE = IPv4Network("0.0.0.0/0")
ROUTER, INSTANCE = "dp-vpc-v", "dp-i-i"
CIRCUITS = (TOPOLOGIES / "standby-circuits" / "network.yaml").read_text()


def port(state: Forwarding, name: str) -> Port:
    return next(item for item in state.ports.values() if item.name == name)


def leaf(state: Forwarding, name: str, destination: str) -> Leaf:
    """What the table of a port says of a prefix."""
    return state.tables[port(state, name).table].routes[IPv4Network(destination)]


def of(*objects: KernelObject) -> Forwarding:
    """The state of a router with one instance port and these objects besides."""
    ends = (
        VethEnd(ROUTER, "dpi1", 1_000_001, "02:00:00:00:00:01"),
        VethEnd(INSTANCE, "eth0", 1_000_002, "02:00:00:00:00:02"),
    )
    basis: list[KernelObject] = [Namespace(ROUTER, "dataplane vpc/v"), Veth("dataplane instance/i", *ends, 1400)]
    wishes = {item.key: Wanted(item, Resource("vpc", "v"), NOWHERE, frozenset()) for item in (*basis, *objects)}
    return compile_forwarding(Desired(wishes, (), (), IdBook(), frozenset(), {}))


def closed(table: int, *routes: KernelRoute) -> list[KernelObject]:
    return [KernelRoute(ROUTER, table, ANYWHERE, RouteType.UNREACHABLE, metric=4_294_967_295), *routes]


def test_nothing_is_nothing() -> None:
    assert compile_forwarding(NOTHING) == Forwarding()


def test_an_instance_port_has_its_own_address_and_macs() -> None:
    state = compile_forwarding(desired(PEERED))
    found = port(state, "instance/ecs-1")
    assert (found.kind, found.source, found.namespace) == (
        PortKind.INSTANCE,
        IPv4Address("172.16.1.10"),
        "dp-vpc-vpc-1",
    )
    assert found.mac != found.source_mac
    assert found.ifindex == 1_000_000 + found.id


def test_a_peering_leads_to_the_port_of_the_next_router() -> None:
    state = compile_forwarding(desired(PEERED))
    hop = state.hops[leaf(state, "instance/ecs-1", "192.168.0.0/16").value]
    assert state.ports[hop.far].namespace == "dp-vpc-vpc-2"
    assert (hop.how, hop.mac, state.leg_names[hop.leg]) == (How.PEER, state.ports[hop.far].mac, "ri-1")
    # What arrives there looks up the form for router interfaces (D16).
    assert state.tables[state.ports[hop.far].table].routes[IPv4Network("10.0.0.0/8")] == stop(Reason.PROHIBITED)
    assert leaf(state, "instance/ecs-2", "10.0.0.0/8").kind is LeafKind.HOP


def test_every_address_of_the_router_is_local_in_every_table() -> None:
    state = compile_forwarding(desired(CIRCUITS))
    for name in ("instance/ecs-1", "peering_connection/pcx-1/acceptor"):
        for address in ("192.168.1.253/32", "192.168.2.253/32", "192.168.10.1/32"):
            assert leaf(state, name, address) == stop(Reason.LOCAL)
    for address in ("10.10.10.1/32", "10.10.10.3/32"):  # the second is its subnet's broadcast
        assert leaf(state, "line/vbr-1", address) == stop(Reason.LOCAL)


def test_a_group_has_all_members_in_order_of_preference() -> None:
    state = compile_forwarding(desired(CIRCUITS))
    by_mode = {group.mode: group for group in state.groups.values()}
    for mode in GroupMode:
        assert [state.leg_names[member.leg] for member in by_mode[mode].members] == ["ri-a1", "ri-a2"]
    assert set(state.legs.values()) == {LegState.UP}


def test_suspending_changes_a_leg_and_its_next_hop_and_no_route() -> None:
    """R15: and the numbers stay, also in the compilation after it."""
    before = compile_forwarding(desired(CIRCUITS))
    text = CIRCUITS.replace(
        "{router_interface: ri-v1, vbr: vbr-1}", "{router_interface: ri-v1, vbr: vbr-1, state: suspended}"
    )
    after = compile_forwarding(desired(text, before.book))
    assert after.tables == before.tables
    assert after.groups == before.groups
    gone = {after.leg_names[leg] for leg, state in after.legs.items() if state is LegState.GONE}
    assert gone == {"ri-v1", "ri-a1"}
    assert {hop.how for hop in after.hops.values() if after.leg_names.get(hop.leg) in gone} == {How.BLACKHOLE}


def test_group_names_are_read_back() -> None:
    name = GroupName("vpc-a", "active_standby", ("ri-2", "ri-1"))
    assert GroupName.of(name.text) == name


def test_next_hops_keep_their_numbers_when_others_come() -> None:
    before = compile_forwarding(desired(PEERED))
    more = PEERED.replace("ecs-1: {vsw", "ecs-0: {vswitch: vsw-1, ip: 172.16.1.9}, ecs-1: {vsw")
    after = compile_forwarding(compile_network(network(more), before.book, {}))
    old = {name: number for (kind, name), number in before.book.numbers.items() if kind == "next_hop"}
    assert (
        old.items()
        < {name: number for (kind, name), number in after.book.numbers.items() if kind == "next_hop"}.items()
    )
    assert {("next_hop", name) for name in old} <= after.used


def test_a_line_needs_what_only_the_host_knows() -> None:
    """Its MAC and MTU are its card's. Its peer's MAC is the kernel's alone, so that its address is all there is."""
    wanted = desired(CIRCUITS)
    state = compile_forwarding(wanted)
    line = port(state, "line/vbr-1")
    assert line.mac == ""
    mac = "02:00:00:00:00:0a"
    known = compile_forwarding(wanted, Learned({(line.namespace, line.ifname): (mac, 1400)}))
    assert port(known, "line/vbr-1").mac == mac
    for destination, via in (("172.16.0.0/16", IPv4Address("10.10.10.2")), ("10.10.10.0/30", None)):
        before, hop = (
            compiled.hops[leaf(compiled, "peering_connection/pcx-1/initiator", destination).value]
            for compiled in (state, known)
        )
        assert (before.how, before.source_mac, before.mac, before.via) == (How.LINE, "", "", via)
        assert (hop.how, hop.source_mac, hop.mac, hop.mtu, hop.via, hop.far) == (How.LINE, mac, "", 1400, via, 0)


def test_d16_what_came_in_by_a_line_has_no_next_hop_on_it() -> None:
    """Split horizon: neither to what is behind the line nor to its own subnet, but for the VBR's own address."""
    state = compile_forwarding(desired(CIRCUITS))
    for destination in ("172.16.0.0/16", "10.10.10.0/30"):
        assert leaf(state, "line/vbr-1", destination) == stop(Reason.PROHIBITED)
    table = state.tables[port(state, "line/vbr-1").table]
    led_to = [state.hops[found.value] for found in table.routes.values() if found.kind is LeafKind.HOP]
    assert led_to and not any(hop.how is How.LINE for hop in led_to)


def test_only_a_line_finds_macs_as_it_goes() -> None:
    """Any other link in a subnet knows the permanent neighbours; the rest is the kernel's."""
    routes = [KernelRoute(ROUTER, 1001, IPv4Network("10.0.0.0/24"), ifname="dpi1")]
    state = of(*closed(1001, *routes), Rule(ROUTER, 200, 1001))
    assert state.tables[1].routes[IPv4Network("10.0.0.0/24")] == stop(Reason.NO_NEIGHBOUR)


def test_a_neighbour_inside_a_longer_prefix_is_not_reached_directly() -> None:
    """The route of the longer prefix decides, as in the kernel."""
    routes = [
        KernelRoute(ROUTER, 1001, IPv4Network("10.0.0.0/24"), ifname="dpi1"),
        KernelRoute(ROUTER, 1001, IPv4Network("10.0.0.128/25"), RouteType.PROHIBIT),
    ]
    met = [Neighbour(ROUTER, "dpi1", IPv4Address(f"10.0.0.{n}"), "02:00:00:00:00:02") for n in (5, 200)]
    state = of(*closed(1001, *routes), Rule(ROUTER, 200, 1001), *met)
    found = state.tables[1].routes
    assert found[IPv4Network("10.0.0.5/32")].kind is LeafKind.HOP
    assert IPv4Network("10.0.0.200/32") not in found


def test_sources_are_checked_where_the_kernel_checks_them() -> None:
    checked = Sysctl(ROUTER, "net/ipv4/conf/dpi1/rp_filter", "1", ifname="dpi1")
    neighbour = Neighbour(ROUTER, "dpi1", IPv4Address("10.0.0.5"), "02:00:00:00:00:02")
    rules = [*closed(1001), Rule(ROUTER, 200, 1001)]
    assert of(*rules, neighbour).ports[1].source is None
    assert of(*rules, neighbour, checked).ports[1].source == IPv4Address("10.0.0.5")
    assert of(*rules, checked).ports[1].source == NOBODY  # stopped: fail closed


def test_a_guarded_port_has_the_source_of_its_rule() -> None:
    own, other = IPv4Network("10.0.0.5/32"), IPv4Network("10.0.0.6/32")
    tables = [*closed(1001), *closed(1002), *closed(1003)]
    guard, spoofed, rest = (
        Rule(ROUTER, 145, 1002, "dpi1", own),
        Rule(ROUTER, 160, 1003, "dpi1"),
        Rule(ROUTER, 200, 1001),
    )
    found = of(*tables, guard, spoofed, rest).ports[1]
    assert (found.source, found.table) == (IPv4Address("10.0.0.5"), 2)
    assert of(*tables, guard, Rule(ROUTER, 145, 1002, "dpi1", other), spoofed, rest).ports[1].source == NOBODY
    assert of(*tables, Rule(ROUTER, 145, 1002, None, IPv4Network("10.0.0.0/8")), rest).ports[1].source == NOBODY


@pytest.mark.parametrize(
    ("rules", "table"),
    [
        ([Rule(ROUTER, 200, 1001)], 1),
        ([Rule(ROUTER, 150, 1002, "dpi1"), Rule(ROUTER, 200, 1001)], 2),
        ([Rule(ROUTER, 150, 1002, "dpr9"), Rule(ROUTER, 200, 1001)], 1),
        ([Rule(ROUTER, 50, 1002, "lo", ANYWHERE, ANYWHERE), Rule(ROUTER, 200, 1001)], 1),
        ([Rule(ROUTER, 50, 1002, None, None, IPv4Network("10.0.0.0/8")), Rule(ROUTER, 200, 1001)], 0),
        ([Rule(ROUTER, 100, 1009, "dpi1"), Rule(ROUTER, 200, 1001)], 0),  # that table is not closed
        ([], 0),
    ],
    ids=["one", "by port", "another port's", "the router's own", "by destination", "open", "none"],
)
def test_the_table_of_a_port(rules: list[Rule], table: int) -> None:
    """0, so that the kernel does it all, where it depends on more than the port."""
    assert of(*closed(1001), *closed(1002), *rules).ports[1].table == table


SPANNING = """
version: 1
accounts: {corp: {uid: "1"}}
hosts: {h1: {address: 172.20.0.11, device: eth0}, h2: {address: 172.20.0.12, device: eth0}}
regions: {r1: {zones: {a: {host: h1}, b: {host: h2}}}}
vpcs:
  v:
    account: corp
    region: r1
    cidr: 192.168.0.0/16
    vswitches: {s1: {zone: a, cidr: 192.168.1.0/24}, s2: {zone: b, cidr: 192.168.2.0/24}}
    instances:
      i1: {vswitch: s1, ip: 192.168.1.10}
      fw: {vswitch: s2, ip: 192.168.2.11, forwarding: true}
    route_tables: {system: {routes: [{destination: 10.0.0.0/8, next_hop: {instance: fw}}]}}
"""


def test_a_tunnel_leads_out_and_what_comes_in_by_it_is_delivered() -> None:
    """To the MAC of the other host's end; and there it looks up a table of what the sender meant."""
    near, far = (
        compile_forwarding(compile_network(network(SPANNING), IdBook(), {}, here=host)) for host in ("h1", "h2")
    )
    for name, destination in (("vpc_tunnel/v", "192.168.2.0/24"), ("next_hop_tunnel/fw", "10.0.0.0/8")):
        hop = near.hops[leaf(near, "instance/i1", destination).value]
        assert (hop.how, near.ports[hop.port].name, hop.mtu, hop.far) == (How.TUNNEL, name, 1450, 0)
        assert hop.mac == port(far, name).mac
        assert port(far, name).kind is PortKind.TUNNEL
    handed_over = far.hops[leaf(far, "next_hop_tunnel/fw", "0.0.0.0/0").value]
    delivered = far.hops[leaf(far, "vpc_tunnel/v", "192.168.2.11/32").value]
    assert handed_over.port == delivered.port == port(far, "instance/fw").id
    assert leaf(far, "vpc_tunnel/v", "0.0.0.0/0") == stop(Reason.UNREACHABLE)


def test_of_two_routes_of_one_prefix_the_lower_metric_counts() -> None:
    state = of(*closed(1001, KernelRoute(ROUTER, 1001, ANYWHERE, RouteType.BLACKHOLE)), Rule(ROUTER, 200, 1001))
    assert state.tables[1].routes == {ANYWHERE: stop(Reason.BLACKHOLE)}


def test_what_has_no_next_hop_goes_by_the_kernel() -> None:
    """A link that is not there, a next hop that is not there."""
    routes = [
        KernelRoute(ROUTER, 1001, IPv4Network("10.1.0.0/16"), nexthop=77),
        KernelRoute(ROUTER, 1001, IPv4Network("10.2.0.0/16"), ifname="dpi9", via=IPv4Address("10.0.0.1")),
    ]
    found = of(*closed(1001, *routes), Rule(ROUTER, 200, 1001)).tables[1].routes
    assert [found[route.destination] for route in routes] == [stop(Reason.KERNEL_ONLY)] * 2


def test_an_address_is_local_before_any_route() -> None:
    route = KernelRoute(ROUTER, 1001, IPv4Network("10.0.0.253/32"), RouteType.BLACKHOLE)
    address = Address(ROUTER, "lo", IPv4Interface("10.0.0.253/32"))
    found = of(*closed(1001, route), Rule(ROUTER, 200, 1001), address).tables[1].routes
    assert found[IPv4Network("10.0.0.253/32")] == stop(Reason.LOCAL)
