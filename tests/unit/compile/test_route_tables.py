"""Route tables, judged by where packets go (R58-R66, D16; kernel.md sections 2 and 7)."""

from dataplane.model.kernel import KernelRoute, RouteType, Rule, Veth
from tests.fakes.networks import desired
from tests.fakes.walk import Fate, Walk

HEAD = """
version: 1
accounts: {corp: {uid: "1"}}
regions: {r1: {zones: {a: {}}}}
vpcs:
  vpc-a:
    account: corp
    region: r1
    cidr: 192.168.0.0/16
    vswitches:
      web: {zone: a, cidr: 192.168.1.0/24, route_table: rt-web}
      app: {zone: a, cidr: 192.168.2.0/24}
      mid: {zone: a, cidr: 192.168.3.0/24}
    instances:
      web-1: {vswitch: web, ip: 192.168.1.10}
      app-1: {vswitch: app, ip: 192.168.2.10}
      box-1: {vswitch: mid, ip: 192.168.3.10, forwarding: true}
      box-2: {vswitch: mid, ip: 192.168.3.11, forwarding: true}
    route_tables:
"""


def tables(**routes: str) -> str:
    lines = [f"      {name.replace('_', '-')}: {{routes: [{entries}]}}" for name, entries in routes.items()]
    return HEAD + "\n".join(lines) + "\n"


def via(destination: str, instance: str) -> str:
    return f"{{destination: {destination}, next_hop: {{instance: {instance}}}}}"


def send(text: str, source: str, destination: str) -> Fate:
    return Walk([wish.object for wish in desired(text).wanted.values()]).send(f"dp-i-{source}", destination)


def test_r63_longest_prefix_decides() -> None:
    text = tables(system=f"{via('0.0.0.0/0', 'box-1')}, {via('10.0.0.0/24', 'box-2')}", rt_web="")
    assert send(text, "app-1", "10.0.0.1") == Fate("delivered", "dp-i-box-2", ("dp-vpc-vpc-a",))
    assert send(text, "app-1", "10.0.1.1") == Fate("delivered", "dp-i-box-1", ("dp-vpc-vpc-a",))
    assert send(text, "app-1", "192.168.1.10").where == "dp-i-web-1"
    assert send(text, "app-1", "100.64.0.1").verdict == "unreachable"


def test_r59_a_vswitch_looks_up_its_own_table_and_others_do_not() -> None:
    text = tables(system="", rt_web=via("0.0.0.0/0", "box-1"))
    assert send(text, "web-1", "8.8.8.8").where == "dp-i-box-1"
    assert send(text, "app-1", "8.8.8.8") == Fate("unreachable", "dp-vpc-vpc-a", ("dp-vpc-vpc-a",))
    assert send(text, "web-1", "192.168.2.10").where == "dp-i-app-1", "a table is complete in itself (R61)"


def test_r62_a_custom_route_overrides_the_system_route_of_a_vswitch() -> None:
    text = tables(system="", rt_web=via("192.168.2.0/24", "box-1"))
    assert send(text, "web-1", "192.168.2.10").where == "dp-i-box-1"
    assert send(text, "box-1", "192.168.2.10").where == "dp-i-app-1", "the box looks up the system table"
    states = {str(item.resource): item.state for item in desired(text).declared}
    assert states["route vpc-a/rt-web/192.168.2.0/24"] == "Available"
    assert states["route vpc-a/rt-web/192.168.2.0/24 (System)"] == "Rejected"


def test_r62_a_more_specific_route_takes_one_instance_away_and_a_wider_one_none() -> None:
    text = tables(system="", rt_web=f"{via('192.168.2.10/32', 'box-1')}, {via('192.168.0.0/16', 'box-2')}")
    assert send(text, "web-1", "192.168.2.10").where == "dp-i-box-1"
    assert send(text, "web-1", "192.168.3.11").where == "dp-i-box-2"
    assert send(text, "web-1", "192.168.3.10").where == "dp-i-box-1"
    assert send(text, "web-1", "192.168.77.1").where == "dp-i-box-2"
    assert send(text, "web-1", "192.168.2.99").verdict == "unreachable"


def test_r66_an_instance_does_not_route_through_itself() -> None:
    text = tables(system=via("0.0.0.0/0", "box-1"), rt_web="")
    assert send(text, "app-1", "8.8.8.8").where == "dp-i-box-1"
    assert send(text, "box-1", "8.8.8.8").verdict == "unreachable"
    assert send(text, "box-2", "8.8.8.8").where == "dp-i-box-1"


def objects_of(text: str, kind: type) -> list:
    return [wish.object for wish in desired(text).wanted.values() if isinstance(wish.object, kind)]


def test_a_hidden_instance_is_guarded_by_rules_and_others_by_the_source_check() -> None:
    """rp_filter would follow the custom route and drop honest packets of app-1, also those to web-1."""
    for text in (
        tables(system=via("192.168.2.0/24", "box-1"), rt_web=""),
        tables(system="", rt_web=via("192.168.2.0/24", "box-1")),
    ):
        found = desired(text).wanted
        checks = {key[2]: wish.object.value for key, wish in found.items() if key[0] == "sysctl"}
        ports = {veth.mark: veth.a.ifname for veth in objects_of(text, Veth)}
        assert checks[f"net/ipv4/conf/{ports['dataplane instance/app-1']}/rp_filter"] == "0"
        assert checks[f"net/ipv4/conf/{ports['dataplane instance/web-1']}/rp_filter"] == "1"
        objects = [wish.object for wish in found.values()]
        spoofed = Walk(objects).send("dp-i-app-1", "192.168.1.10", source="192.168.1.77")
        assert spoofed == Fate("blackhole", "dp-vpc-vpc-a", ("dp-vpc-vpc-a",))
        assert Walk(objects).send("dp-i-app-1", "192.168.1.10").where == "dp-i-web-1"


def test_the_routers_own_packets_go_straight_to_hidden_instances() -> None:
    text = tables(system=via("192.168.2.0/24", "box-1"), rt_web="")
    rules = objects_of(text, Rule)
    ports = next(rule for rule in rules if rule.iif == "lo")
    routes = [route for route in objects_of(text, KernelRoute) if route.table == ports.table]
    assert ports.priority < min(rule.priority for rule in rules if rule is not ports)
    assert {str(route.destination) for route in routes} >= {"192.168.2.10/32", "192.168.1.10/32"}
    assert all(route.type is RouteType.UNICAST for route in routes)
    plain = objects_of(tables(system="", rt_web=""), Rule)
    assert {rule.priority for rule in plain} == {150, 200}, "rules only where they are needed"


def test_a_stopped_next_hop_is_a_blackhole_that_says_so() -> None:
    text = tables(system=via("0.0.0.0/0", "box-1"), rt_web="").replace(
        "box-1: {vswitch: mid,", "box-1: {state: stopped, vswitch: mid,"
    )
    assert send(text, "app-1", "8.8.8.8").verdict == "blackhole"
    assert send(text, "app-1", "192.168.3.10").verdict == "unreachable"
    states = {str(item.resource): (item.state, item.reason) for item in desired(text).declared}
    assert states["route vpc-a/system/0.0.0.0/0"] == ("Blackhole", "instance box-1 is stopped")
    assert states["instance box-1"][0] == "Stopped"


def test_every_table_is_closed_and_every_rule_has_its_table() -> None:
    text = tables(system=via("0.0.0.0/0", "box-1"), rt_web=via("192.168.2.0/24", "box-1"))
    objects = [wish.object for wish in desired(text).wanted.values()]
    closed = {item.table for item in objects if isinstance(item, KernelRoute) and item.metric == 4294967295}
    used = {item.table for item in objects if isinstance(item, Rule)}
    assert used == closed


def test_an_unused_table_says_that_no_vswitch_uses_it() -> None:
    text = tables(system="", rt_web="", rt_spare=via("0.0.0.0/0", "box-1"))
    item = next(d for d in desired(text).declared if str(d.resource) == "route_table vpc-a/rt-spare")
    assert item.reason == "no vswitch uses it"


def test_icmp_errors_come_from_the_right_gateway() -> None:
    routes = [
        w.object for w in desired(tables(system="", rt_web="")).wanted.values() if isinstance(w.object, KernelRoute)
    ]
    sources = {
        str(r.destination): str(r.source)
        for r in routes
        if r.type is RouteType.UNICAST and r.namespace == "dp-vpc-vpc-a"
    }
    assert sources["192.168.1.10/32"] == "192.168.1.253"
    assert sources["192.168.2.10/32"] == "192.168.2.253"
