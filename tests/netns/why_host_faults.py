"""The faults between hosts that `why` must name, made on the one host that is there; and what a real packet does.

``{...}`` in a command is a tunnel of the applied network, by its kind and id (``tests/netns/test_why_hosts.py``).
"""

from dataclasses import dataclass
from ipaddress import IPv4Address

from dataplane.model import names
from dataplane.observe.why.code import Code
from dataplane.observe.why.explain import Question
from tests.netns.why_faults import GOOD, Said, drift

A = "dp-vpc-vpc-a"
HOST_1, HOST_2, STRANGER = "172.20.0.11", "172.20.0.12", "172.20.0.99"
END_1 = names.mac_address("vpc_tunnel", "vpc-a/host-1")
END_2 = names.mac_address("vpc_tunnel", "vpc-a/host-2")
PEER_END = names.mac_address("router_interface", "ri-b")
OTHER_MAC = "02:00:00:00:99:01"
TO_A2, TO_B3 = Question("a1", "a2"), Question("a1", "b3")


@dataclass(frozen=True)
class HostFault:
    """One fault of host-1.

    Args:
        forward, back: what is to be said of the packet, and of its answer; None where nobody answers.
        by_hand: shell words per command, the namespace first.
        sends: whether a packet of ``a1`` is seen on the underlay as the configuration wants it; None where it is
            another question.
        takes: whether what the other host answers gets to ``a1``; likewise.
    """

    name: str
    forward: Said
    back: Said | None
    by_hand: tuple[str, ...] = ()
    question: Question = TO_A2
    sends: bool | None = True
    takes: bool | None = True


def made_anew(vni: str = "{vni vpc_tunnel/vpc-a}", local: str = HOST_1, port: str = "4789") -> tuple[str, ...]:
    """Somebody deletes the VPC's tunnel and makes it again, nearly as it was, with its route and entries."""
    name = "{vpc_tunnel/vpc-a}"
    return (
        f"{A} ip link del {name}",
        f" ip link add name {name} index {{index vpc_tunnel/vpc-a}} address {END_1} mtu 1450 netns {A} type vxlan"
        f" id {vni} local {local} dev eth0 dstport {port} nolearning noudpcsum ttl 64 df set",
        f"{A} ip link set {name} alias dataplane\xa0vpc_tunnel/vpc-a up",
        f"{A} bridge fdb add {END_2} dev {name} dst {HOST_2}",
        f"{A} ip neigh add {HOST_2} lladdr {END_2} dev {name} nud permanent protocol 219",
        f"{A} ip route add 192.168.2.0/24 via {HOST_2} dev {name} onlink table {{system}} protocol 219"
        " src 192.168.1.253",
    )


FAULTS = (
    HostFault("nothing at all", GOOD, GOOD),
    HostFault("nothing at all, by a connection", GOOD, GOOD, question=TO_B3, takes=None),
    HostFault(
        "nothing at all, from the other host",
        GOOD,
        GOOD,
        question=Question("a2", "a1"),
    ),
    HostFault(
        "the tunnel is deleted",
        drift(Code.NO_TUNNEL, "vpc-a", "vpc-a:"),
        drift(Code.NO_TUNNEL, "vpc-a", "vpc-a:"),
        (f"{A} ip link del {{vpc_tunnel/vpc-a}}",),
        sends=False,
        takes=False,
    ),
    HostFault(
        "the tunnel is down",
        drift(Code.NO_TUNNEL, "vpc-a", "vpc-a:"),
        drift(Code.NO_TUNNEL, "vpc-a", "vpc-a:"),
        (f"{A} ip link set {{vpc_tunnel/vpc-a}} down",),
        sends=False,
        takes=False,
    ),
    HostFault(
        "the tunnel has another VNI",
        drift(Code.WRONG_VNI, "vpc-a", "vpc-a:"),
        drift(Code.WRONG_VNI, "vpc-a", "vpc-a:"),
        made_anew(vni="99"),
        sends=False,
        takes=False,
    ),
    HostFault(
        "the tunnel sends from another address",
        drift(Code.DRIFT, "vpc-a", "vpc-a:"),
        GOOD,
        (" ip addr add 172.20.0.66/24 dev eth0", *made_anew(local="172.20.0.66")),
        sends=False,
    ),
    HostFault(
        "the tunnel speaks on another port",
        drift(Code.DRIFT, "vpc-a", "vpc-a:"),
        drift(Code.DRIFT, "vpc-a", "vpc-a:"),
        made_anew(port="4790"),
        sends=False,
        takes=False,
    ),
    HostFault(
        "the tunnel has another MAC",
        drift(Code.WRONG_MAC, "vpc-a", "vpc-a:"),  # with the MAC the kernel takes the neighbours, permanent ones too
        drift(Code.WRONG_MAC, "vpc-a", "vpc-a:"),
        (f"{A} ip link set {{vpc_tunnel/vpc-a}} address {OTHER_MAC}",),
        sends=False,
        takes=False,
    ),
    HostFault(
        "the tunnel's MTU is lowered",
        drift(Code.TUNNEL_MTU, "vpc-a", "vpc-a:"),
        GOOD,
        (f"{A} ip link set {{vpc_tunnel/vpc-a}} mtu 1000",),
        question=Question("a1", "a2", size_bytes=1400),
        sends=None,
        takes=None,
    ),
    HostFault(
        "no forwarding entry",
        drift(Code.NO_VTEP, "vpc-a", "vpc-a:"),
        GOOD,
        (f"{A} bridge fdb del {END_2} dev {{vpc_tunnel/vpc-a}}",),
        sends=False,
    ),
    HostFault(
        "the entry leads to a stranger",
        drift(Code.NO_VTEP, "vpc-a", "vpc-a:"),
        GOOD,
        (f"{A} bridge fdb replace {END_2} dev {{vpc_tunnel/vpc-a}} dst {STRANGER} self",),
        sends=False,
    ),
    HostFault(
        "the entry leads to a third host",
        drift(Code.NO_VTEP, "vpc-a", "vpc-a:"),
        GOOD,
        (f"{A} bridge fdb replace {END_2} dev {{vpc_tunnel/vpc-a}} dst 172.20.0.13 self",),
        sends=False,
    ),
    HostFault(
        "no neighbour",
        drift(Code.NO_VTEP, "vpc-a", "vpc-a:"),
        GOOD,
        (f"{A} ip neigh del {HOST_2} dev {{vpc_tunnel/vpc-a}}",),
        sends=False,
    ),
    HostFault(
        "another neighbour",
        drift(Code.WRONG_MAC, "vpc-a", "vpc-a:"),
        GOOD,
        (f"{A} ip neigh replace {HOST_2} lladdr {OTHER_MAC} dev {{vpc_tunnel/vpc-a}} nud permanent protocol 219",),
        sends=False,
    ),
    HostFault(
        "no route to the other host's vSwitch",
        drift(Code.NO_ROUTE, "vpc-a", "vsw-a2:"),
        GOOD,
        (f"{A} ip route del 192.168.2.0/24 table {{system}}",),
        sends=False,
        takes=None,  # the kernel's source check drops the answer too: `why` begins with the way out
    ),
    HostFault(
        "the underlay device is down",
        drift(Code.NO_UNDERLAY, "vpc-a", "vpc-a:"),
        drift(Code.NO_UNDERLAY, "vpc-a", "vpc-a:"),
        (" ip link set eth0 down",),
        sends=False,
        takes=False,
    ),
    HostFault(
        "the underlay device is gone",
        drift(Code.NO_UNDERLAY, "vpc-a", "vpc-a:"),
        drift(Code.NO_UNDERLAY, "vpc-a", "vpc-a:"),
        (" ip link del eth0",),
        sends=False,
        takes=None,  # there is no wire left to say it on
    ),
    HostFault(
        "the filter is gone",
        GOOD,
        drift(Code.UNGUARDED, "host-1", "host-1:"),
        (" nft delete table ip dataplane",),
    ),
    HostFault(
        "somebody adds to the filter",
        GOOD,
        drift(Code.UNGUARDED, "host-1", "host-1:"),
        (" nft add chain ip dataplane mine",),
    ),
    HostFault(
        "the filter admits nobody",
        GOOD,
        drift(Code.NOT_ADMITTED, "host-1", "host-1:"),
        (" nft flush set ip dataplane accepted",),
        takes=False,
    ),
    HostFault(
        "the filter knows no host",
        GOOD,
        drift(Code.NOT_ADMITTED, "host-1", "host-1:"),
        tuple(f" nft flush set ip dataplane {name}" for name in ("accepted", "hosts", "tunnels")),
        takes=False,
    ),
    HostFault(
        "the connection's tunnel has no entry",
        drift(Code.NO_VTEP, "vpc-a", "pcx:"),
        GOOD,
        (f"{A} bridge fdb del {PEER_END} dev {{peering_tunnel/pcx}}",),
        question=TO_B3,
        sends=False,
        takes=None,
    ),
    HostFault(
        "the connection's tunnel is down, asked from its other end",
        drift(Code.NO_TUNNEL, "vpc-a", "pcx:"),
        drift(Code.NO_TUNNEL, "vpc-a", "pcx:"),
        (f"{A} ip link set {{peering_tunnel/pcx}} down",),
        question=Question("b3", "a1"),
        sends=None,
        takes=None,
    ),
    HostFault(
        "what comes for an instance as a next hop is not handed to it",
        drift(Code.NO_RULE, "vpc-a", "vpc-a:"),
        None,
        (f"{A} ip rule del pref 100 iif {{next_hop_tunnel/fw}}",),
        question=Question("a2", "10.99.1.1"),
        sends=None,
        takes=None,
    ),
    HostFault(
        "a source that this host cannot have",
        Said(Code.NOT_ADMITTED, "host-3", "host-3:"),
        GOOD,
        question=Question("fw", "b3", spoofed=IPv4Address("172.16.2.10")),
        sends=None,
        takes=None,
    ),
)
