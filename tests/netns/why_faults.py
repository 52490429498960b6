"""The faults that `why` must name: how each is made, and what must be said of it.

A fault is made by editing the file before it is applied, or by hand afterwards; ``{...}`` in a command is a port, a
table or a leg of the applied network (``tests/netns/test_why.py``).
"""

from dataclasses import dataclass
from ipaddress import IPv4Address

from dataplane.observe.why.code import Code
from dataplane.observe.why.explain import Question
from tests.fakes.networks import PEERED

ONE, TWO = "dp-vpc-vpc-1", "dp-vpc-vpc-2"
TO_TWO = Question("ecs-1", "ecs-2")


@dataclass(frozen=True)
class Said:
    """What must be said of one direction.

    Args:
        at: the router or instance.
        line: a part of the line of the file that must be pointed at; empty where none is to blame.
        differs: configuration and kernel must be said to differ.
    """

    code: Code = Code.DELIVERED
    at: str = ""
    line: str = ""
    differs: bool = False


GOOD = Said()


@dataclass(frozen=True)
class Fault:
    """One fault.

    Args:
        edits: pairs of old and new text of the file.
        by_hand: shell words per command, the namespace first.
        back: None where nobody can answer.
        passes: what a real ping says; None where a ping cannot ask this question.
    """

    name: str
    forward: Said
    back: Said | None = GOOD
    edits: tuple[tuple[str, str], ...] = ()
    by_hand: tuple[str, ...] = ()
    question: Question = TO_TWO
    text: str = PEERED
    passes: bool | None = False


def drift(code: Code, at: str, line: str = "") -> Said:
    return Said(code, at, line, differs=True)


SECOND_SWITCH = (
    (
        "vswitches: {vsw-1: {zone: a, cidr: 172.16.1.0/24}}",
        "vswitches: {vsw-1: {zone: a, cidr: 172.16.1.0/24{TABLE}}, vsw-9: {zone: a, cidr: 172.16.9.0/24}}",
    ),
    (
        "instances: {ecs-1: {vswitch: vsw-1, ip: 172.16.1.10}}",
        "instances:\n      ecs-1: {vswitch: vsw-1, ip: 172.16.1.10}\n      box: {vswitch: vsw-9, ip: 172.16.9.10{BOX}}",
    ),
)


def _with_box(box: str, table: str = "") -> tuple[tuple[str, str], ...]:
    """Edits that give vpc-1 a second instance as a middle box, and its first vSwitch a table."""
    return tuple((old, new.replace("{BOX}", box).replace("{TABLE}", table)) for old, new in SECOND_SWITCH)


ROUTE_1 = "{destination: 192.168.0.0/16, next_hop: {router_interface: ri-1}}"
ROUTE_2 = "          - {destination: 172.16.0.0/12, next_hop: {router_interface: ri-2}}\n"
VIA_BOX = (ROUTE_1, "{destination: 192.168.0.0/16, next_hop: {instance: box}}")

BY_CONFIGURATION = (
    Fault("nothing at all", GOOD, passes=True),
    Fault(
        "an end is suspended",
        Said(Code.SUSPENDED, "vpc-1", "pcx-1"),
        Said(Code.SUSPENDED, "vpc-2", "pcx-1"),
        (("vpc: vpc-2}}\n  pcx-2", "vpc: vpc-2, state: suspended}}\n  pcx-2"),),
    ),
    Fault(
        "an end is missing",
        Said(Code.ONE_ENDED, "vpc-1", "pcx-1"),
        Said(Code.NO_ROUTE, "vpc-2", "system:"),
        ((", acceptor: {router_interface: ri-2, vpc: vpc-2}}", "}"), (ROUTE_2, "")),
    ),
    Fault(
        "no way back",
        GOOD,
        Said(Code.NO_RETURN_ROUTE, "vpc-2", "system:"),
        ((ROUTE_2, ""),),
    ),
    Fault(
        "a wrong prefix",
        Said(Code.NO_ROUTE, "vpc-1", "192.168.2.0/24"),
        GOOD,
        (("192.168.0.0/16, next_hop: {router_interface: ri-1}", "192.168.2.0/24, next_hop: {router_interface: ri-1}"),),
    ),
    Fault(
        "the destination is stopped",
        Said(Code.STOPPED, "ecs-2", "ecs-2:"),
        Said(Code.STOPPED, "ecs-2", "ecs-2:"),
        (("ip: 192.168.1.10}", "ip: 192.168.1.10, state: stopped}"),),
    ),
    Fault(
        "the source is stopped",
        Said(Code.STOPPED, "ecs-1", "ecs-1:"),
        Said(Code.STOPPED, "ecs-1", "ecs-1:"),
        (("ip: 172.16.1.10}", "ip: 172.16.1.10, state: stopped}"),),
        passes=None,
    ),
    Fault(
        "the next hop is stopped",
        Said(Code.BLACKHOLE, "vpc-1", "instance: box"),
        GOOD,
        (*_with_box(", forwarding: true, state: stopped"), VIA_BOX),
    ),
    Fault(
        "the next hop does not forward",
        Said(Code.NOT_FORWARDING, "box", "box:"),
        GOOD,
        (*_with_box(""), VIA_BOX),
    ),
    Fault(
        "the way leads back to the box itself",
        Said(Code.LOOP, "vpc-1", "instance: box"),
        GOOD,
        (*_with_box(", forwarding: true"), VIA_BOX),
        question=Question("box", "ecs-2"),
    ),
    Fault(
        "a custom table hides the route",
        Said(Code.NO_ROUTE, "vpc-1", "rt-1:"),
        GOOD,
        (
            *_with_box("", ", route_table: rt-1"),
            (
                "    route_tables: {system: {routes: [" + ROUTE_1 + "]}}",
                "    route_tables:\n      system: {routes: [" + ROUTE_1 + "]}\n      rt-1: {routes: []}",
            ),
        ),
    ),
    Fault(
        "through a peer",
        Said(Code.NOT_TRANSITIVE, "vpc-2", "10.0.0.0/8"),
        Said(Code.NOT_TRANSITIVE, "vpc-2", "172.16.0.0/12"),
        ((ROUTE_1, ROUTE_1 + ", {destination: 10.0.0.0/8, next_hop: {router_interface: ri-1}}"),),
        question=Question("ecs-1", "ecs-3"),
    ),
    Fault(
        "not connected",
        Said(Code.NO_ROUTE, "vpc-1", "route_tables"),
        Said(Code.NOT_TRANSITIVE, "vpc-2", "172.16.0.0/12"),
        question=Question("ecs-1", "ecs-3"),
    ),
    Fault(
        "the other VPC has a smaller MTU",
        Said(Code.MTU, "vpc-1", "pcx-1"),
        Said(Code.MTU, "ecs-2", "ecs-2:"),
        (("    cidr: 172.16.0.0/12\n", "    cidr: 172.16.0.0/12\n    mtu: 9000\n"),),
        question=Question("ecs-1", "ecs-2", size_bytes=4000),
        passes=None,
    ),
    Fault(
        "the TTL ends",
        Said(Code.TTL, "vpc-2", "192.168.1.10"),
        question=Question("ecs-1", "ecs-2", ttl=2),
        passes=None,
    ),
    Fault(
        "an address that nobody has",
        Said(Code.UNKNOWN_DESTINATION, "vpc-2", "vsw-2"),
        None,
        question=Question("ecs-1", "192.168.1.77"),
    ),
    Fault(
        "a service that there is none of",
        Said(Code.UNKNOWN_DESTINATION, "vpc-1", "vpc-1:"),
        None,
        question=Question("ecs-1", "100.64.9.9"),
    ),
    Fault(
        "a source that is not its own",
        Said(Code.SPOOFED, "vpc-1", "ecs-1:"),
        Said(Code.NO_ROUTE, "vpc-2", "system:"),
        question=Question("ecs-1", "ecs-2", spoofed=IPv4Address("9.9.9.9")),
        passes=None,
    ),
    Fault(
        "the source of a neighbour",
        Said(Code.SPOOFED, "vpc-1", "ecs-1:"),
        Said(Code.UNKNOWN_DESTINATION, "vpc-1", "vsw-1"),
        question=Question("ecs-1", "ecs-2", spoofed=IPv4Address("172.16.1.99")),
        passes=None,
    ),
    Fault("a gateway", Said(Code.LOCAL, "vpc-2"), question=Question("ecs-1", "192.168.1.253"), passes=True),
    Fault(
        "an id that nobody has", Said(Code.UNKNOWN_SOURCE, "web"), None, question=Question("web", "ecs-2"), passes=None
    ),
)

HIDDEN = (
    (
        "instances: {ecs-2: {vswitch: vsw-2, ip: 192.168.1.10}}",
        "instances: {ecs-2: {vswitch: vsw-2, ip: 192.168.1.10},"
        " box: {vswitch: vsw-9, ip: 192.168.9.10, forwarding: true}}",
    ),
    (
        "vswitches: {vsw-2: {zone: a, cidr: 192.168.1.0/24}}",
        "vswitches: {vsw-2: {zone: a, cidr: 192.168.1.0/24}, vsw-9: {zone: a, cidr: 192.168.9.0/24}}",
    ),
    (ROUTE_2, ROUTE_2 + "          - {destination: 192.168.1.0/24, next_hop: {instance: box}}\n"),
)
"""A custom route hides ecs-2 from its own VPC (R62): rules guard its port instead of the kernel's source check."""

BY_HAND = (
    Fault(
        "a source check is switched on where rules guard",
        drift(Code.SPOOFED, "vpc-2", "ecs-2:"),
        Said(Code.LOOP, "vpc-2", "instance: box"),
        HIDDEN,
        (f"{TWO} sysctl net/ipv4/conf/{{ecs-2}}/rp_filter 1",),
        Question("ecs-2", "ecs-1"),
    ),
    Fault(
        "a guarded port and a source that is not its own",
        Said(Code.SPOOFED, "vpc-2", "ecs-2:"),
        Said(Code.DELIVERED),
        HIDDEN,
        question=Question("ecs-2", "ecs-1", spoofed=IPv4Address("192.168.9.10")),
        passes=None,
    ),
    Fault(
        "the route is deleted",
        drift(Code.NO_ROUTE, "vpc-1", "192.168.0.0/16"),
        by_hand=(f"{ONE} ip route del 192.168.0.0/16 table {{vpc-1}}",),
    ),
    Fault(
        "the way back is deleted",
        GOOD,
        drift(Code.NO_RETURN_ROUTE, "vpc-2", "172.16.0.0/12"),
        by_hand=(f"{TWO} ip route del 172.16.0.0/12 table {{vpc-2}}",),
    ),
    Fault(
        "the transit link is down",
        drift(Code.NO_LINK, "vpc-1", "pcx-1"),
        drift(Code.NO_LINK, "vpc-2", "pcx-1"),
        by_hand=(f"{ONE} ip link set {{ri-1}} down",),
    ),
    Fault(
        "the transit link is deleted",
        drift(Code.NO_LINK, "vpc-1", "pcx-1"),
        drift(Code.NO_LINK, "vpc-2", "pcx-1"),
        by_hand=(f"{TWO} ip link del {{ri-2}}",),
    ),
    Fault(
        "the port of the destination is down",
        drift(Code.NO_LINK, "vpc-2", "ecs-2:"),
        drift(Code.NO_LINK, "ecs-2", "ecs-2:"),
        by_hand=(f"{TWO} ip link set {{ecs-2}} down",),
    ),
    Fault(
        "the instance switched its interface off",
        drift(Code.NO_LINK, "vpc-2", "ecs-2:"),
        drift(Code.NO_LINK, "ecs-2", "ecs-2:"),
        by_hand=("dp-i-ecs-2 ip link set eth0 down",),
    ),
    Fault(
        "the neighbour is deleted",
        drift(Code.NO_NEIGHBOUR, "vpc-1", "pcx-1"),
        by_hand=(f"{ONE} ip neigh del 169.254.0.1 dev {{ri-1}}",),
    ),
    Fault(
        "the neighbour has a wrong MAC",
        drift(Code.NO_NEIGHBOUR, "vpc-2", "ecs-2:"),
        by_hand=(f"{TWO} ip neigh replace 192.168.1.10 lladdr 02:00:00:00:00:99 dev {{ecs-2}} nud permanent",),
    ),
    Fault(
        "the rule is deleted",
        drift(Code.NO_RULE, "vpc-1", "route_tables"),
        by_hand=(f"{ONE} ip rule del pref 200",),
    ),
    Fault(
        "the table is flushed",
        drift(Code.NO_ROUTE, "vpc-1", "192.168.0.0/16"),
        by_hand=(
            f"{ONE} ip route del 192.168.0.0/16 table {{vpc-1}}",
            f"{ONE} ip route del 172.16.1.10/32 table {{vpc-1}}",
            f"{ONE} ip route del unreachable 172.16.1.0/24 table {{vpc-1}}",
            f"{ONE} ip route del unreachable 100.64.0.0/10 table {{vpc-1}}",
            f"{ONE} ip route del unreachable default metric 4294967295 table {{vpc-1}}",
        ),
    ),
    Fault(
        "the kernel's own rules are back, and lead elsewhere",
        drift(Code.FOREIGN, "vpc-1"),
        by_hand=(
            f"{ONE} ip rule del pref 200",
            f"{ONE} ip rule add pref 32766 table main",
            f"{ONE} ip route add blackhole default",
        ),
    ),
    Fault(
        "the destination lost its address",
        drift(Code.NO_ADDRESS, "ecs-2", "ecs-2:"),
        drift(Code.NO_ADDRESS, "ecs-2", "ecs-2:"),
        by_hand=("dp-i-ecs-2 ip addr del 192.168.1.10/24 dev eth0",),
    ),
    Fault(
        "the source lost its address",
        drift(Code.NO_ADDRESS, "ecs-1", "ecs-1:"),
        drift(Code.NO_ADDRESS, "ecs-1", "ecs-1:"),
        by_hand=("dp-i-ecs-1 ip addr del 172.16.1.10/24 dev eth0",),
    ),
    Fault(
        "the instance has another address",
        GOOD,
        drift(Code.NO_ADDRESS, "ecs-1", "ecs-1:"),
        by_hand=(
            "dp-i-ecs-1 ip addr add 172.16.1.99/32 dev eth0",
            "dp-i-ecs-1 ip addr del 172.16.1.10/24 dev eth0",
            "dp-i-ecs-1 ip route replace default via 172.16.1.253 dev eth0 onlink",
        ),
    ),
    Fault(
        "the instance has no default route",
        drift(Code.NO_ROUTE, "ecs-1", "ecs-1:"),
        by_hand=("dp-i-ecs-1 ip route del default",),
    ),
    Fault(
        "the router does not forward",
        drift(Code.NOT_FORWARDING, "vpc-2", "vpc-2:"),
        drift(Code.NOT_FORWARDING, "vpc-2", "vpc-2:"),
        by_hand=(f"{TWO} sysctl net/ipv4/ip_forward 0",),
    ),
    Fault(
        "a foreign blackhole, more specific",
        drift(Code.FOREIGN, "vpc-1"),
        by_hand=(f"{ONE} ip route add blackhole 192.168.1.0/24 table {{vpc-1}}",),
    ),
    Fault(
        "a foreign prohibit in the table of router interfaces",
        drift(Code.FOREIGN, "vpc-2"),
        drift(Code.FOREIGN, "vpc-2"),  # the source check looks the answer up there
        by_hand=(f"{TWO} ip route replace prohibit 192.168.1.10/32 table {{from ri-2}} proto static",),
    ),
    Fault(
        "a foreign rule before all others",
        drift(Code.FOREIGN, "vpc-1"),
        drift(Code.FOREIGN, "vpc-1"),
        by_hand=(f"{ONE} ip route add unreachable default table 999", f"{ONE} ip rule add pref 10 table 999"),
    ),
    Fault(
        "a foreign rule that we cannot read",
        drift(Code.FOREIGN, "vpc-1"),
        drift(Code.FOREIGN, "vpc-1"),
        by_hand=(f"{ONE} ip rule add pref 10 ipproto 1 prohibit",),
    ),
    Fault(
        "another next hop",
        GOOD,
        drift(Code.DRIFT, "vpc-2", "172.16.0.0/12"),
        by_hand=(f"{TWO} ip route replace 172.16.0.0/12 nhid {{leg ri-3}} table {{vpc-2}} proto 219",),
    ),
    Fault(
        "the leg is made a blackhole",
        drift(Code.DRIFT, "vpc-1", "pcx-1"),
        by_hand=(f"{ONE} ip nexthop replace id {{leg ri-1}} blackhole proto 219",),
    ),
    Fault(
        "the transit link's MTU is lowered",
        drift(Code.MTU, "vpc-1", "pcx-1"),
        drift(Code.MTU, "vpc-2", "pcx-1"),
        by_hand=(f"{ONE} ip link set {{ri-1}} mtu 1000",),
        question=Question("ecs-1", "ecs-2", size_bytes=1400),
        passes=None,
    ),
    Fault(
        "the router is gone",
        drift(Code.NO_LINK, "vpc-1", "pcx-1"),
        drift(Code.NO_LINK, "ecs-2", "ecs-2:"),
        by_hand=(f" ip netns del {TWO}", " sleep 0.5"),
    ),
)
