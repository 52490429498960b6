"""What `dataplane cpe` prints: golden texts for each kind of router, and where each route comes from."""

import copy

import pytest

from dataplane.observe.cpe import Cpe, cpe_of
from dataplane.observe.cpe_text import FORMATS, sub_interface, text_of
from tests.unit.config.networks import Plain, hop, hybrid, loaded, system_routes

INTERFACES = {"vbr-1": "eth0", "vbr-2": "eth1"}


def _cpe(network: Plain, *vbrs: str) -> Cpe:
    return cpe_of(loaded(network).network, vbrs or ("vbr-1",), INTERFACES)


def _routes(cpe: Cpe) -> dict[str, str]:
    return {str(route.destination): route.rule for route in cpe.routes}


def _with_services() -> Plain:
    network = hybrid()
    network["vbrs"]["vbr-1"]["routes"] += [
        {"destination": "100.64.0.0/11", "next_hop": hop("ri-v1")},
        {"destination": "100.96.0.0/11", "next_hop": hop("ri-v1")},
    ]
    return network


IPROUTE2 = """\
# VBR vbr-1: the router of data centre idc at the far end of pc-1, which ends at its interface eth0.
# Note: vbr-2 ends at data centre idc too: if at this very router, print them together (--with vbr-2), or their routes \
replace these.
# The interface must be up, and the router must forward: sysctl -w net.ipv4.ip_forward=1
# R26: VLAN 1000 on the line of vbr-1
ip link show dev eth0.1000 > /dev/null 2>&1 || ip link add link eth0 name eth0.1000 type vlan id 1000
ip link set dev eth0.1000 up
# R27: the data centre's address on the line; 10.10.11.1 is the VBR's
ip address replace 10.10.11.2/30 dev eth0.1000
# R47: exempt ICMP from 192.168.10.1 to 10.10.11.2 from rate limits, or the line seems to flap
# R31: VPC vpc-a (192.168.0.0/16) behind vbr-1
ip route replace 192.168.0.0/16 via 10.10.11.1 dev eth0.1000
# R44: the health check of pcx-1, answered over its own line
ip route replace 192.168.10.1/32 via 10.10.11.1 dev eth0.1000
# R135: cloud services (AnyTunnel)
ip route replace 100.64.0.0/10 via 10.10.11.1 dev eth0.1000
"""

FRR = """\
! VBR vbr-1: the router of data centre idc at the far end of pc-1, which ends at its interface eth0.
! VBR vbr-2: the router of data centre idc at the far end of pc-2, which ends at its interface eth1.
! FRR does not make VLAN interfaces: the system does, as the lines of iproute2 below say.
!   ip link add link eth0 name eth0.1000 type vlan id 1000
!   ip link add link eth1 name eth1.1000 type vlan id 1000
! R26, R27: VLAN 1000 on the line of vbr-1; 10.10.11.1 is the VBR's address
interface eth0.1000
 description VBR vbr-1 on pc-1
 ip address 10.10.11.2/30
exit
! R47: exempt ICMP from 192.168.10.1 to 10.10.11.2 from rate limits, or the line seems to flap
! R26, R27: VLAN 1000 on the line of vbr-2; 10.10.12.1 is the VBR's address
interface eth1.1000
 description VBR vbr-2 on pc-2
 ip address 10.10.12.2/30
exit
! R47: exempt ICMP from 192.168.10.2 to 10.10.12.2 from rate limits, or the line seems to flap
! R31: VPC vpc-a (192.168.0.0/16) behind vbr-1
ip route 192.168.0.0/16 10.10.11.1
ip route 192.168.0.0/16 10.10.12.1
! R44: the health check of pcx-1, answered over its own line
ip route 192.168.10.1/32 10.10.11.1
! R44: the health check of pcx-2, answered over its own line
ip route 192.168.10.2/32 10.10.12.1
"""

CISCO = """\
! VBR vbr-2: the router of data centre idc at the far end of pc-2, which ends at its interface eth1.
! Note: vbr-1 ends at data centre idc too: if at this very router, print them together (--with vbr-1), or their routes \
replace these.
! R26, R27: VLAN 1000 on the line of vbr-2; 10.10.12.1 is the VBR's address
interface eth1.1000
 description VBR vbr-2 on pc-2
 encapsulation dot1Q 1000
 ip address 10.10.12.2 255.255.255.252
 no shutdown
exit
! R47: exempt ICMP from 192.168.10.2 to 10.10.12.2 from rate limits, or the line seems to flap
! R31: VPC vpc-a (192.168.0.0/16) behind vbr-2
ip route 192.168.0.0 255.255.0.0 10.10.12.1
! R44: the health check of pcx-2, answered over its own line
ip route 192.168.10.2 255.255.255.255 10.10.12.1
"""


@pytest.mark.parametrize(
    ("form", "network", "vbrs", "expected"),
    [
        ("iproute2", _with_services(), ("vbr-1",), IPROUTE2),
        ("frr", hybrid(), ("vbr-1", "vbr-2"), FRR),
        ("cisco", hybrid(), ("vbr-2",), CISCO),
    ],
)
def test_the_text_of_each_kind_of_router(form: str, network: Plain, vbrs: tuple[str, ...], expected: str) -> None:
    assert text_of(_cpe(network, *vbrs), form) == expected


def test_every_configuration_line_has_a_rule_before_it() -> None:
    for form in FORMATS:
        text = text_of(_cpe(_with_services(), "vbr-1", "vbr-2"), form)
        for number, line in enumerate(lines := text.splitlines()):
            if line.startswith("ip route"):
                above = next(other for other in reversed(lines[:number]) if other[0] in "#!")
                assert above[2:].startswith(("R31", "R44", "R135")), above


def test_r28_r31_the_vbrs_routes_to_vpcs_turned_round() -> None:
    network = hybrid()
    assert _routes(_cpe(network)) == {"192.168.0.0/16": "R31", "192.168.10.1/32": "R44"}
    network["vbrs"]["vbr-1"]["routes"][1]["destination"] = "192.168.0.0/17"
    assert "192.168.0.0/17" in _routes(_cpe(network))
    # What goes over the line is the data centre's own.
    assert "10.32.0.0/16" not in _routes(_cpe(network))


def test_r28_without_a_route_to_a_vpc_it_says_so() -> None:
    network = hybrid()
    del network["vbrs"]["vbr-1"]["routes"][1]
    del network["peering_connections"]["pcx-1"]["health_check"]
    cpe = _cpe(network)
    assert cpe.routes == ()
    assert any("vbr-1 has no route to a VPC" in hint for hint in cpe.hints)


def test_r44_r46_the_probes_source_goes_by_its_own_line_once() -> None:
    network = hybrid()
    network["vbrs"]["vbr-1"]["routes"].append({"destination": "192.168.10.1", "next_hop": hop("ri-v1")})
    routes = [route for route in _cpe(network, "vbr-1", "vbr-2").routes if route.rule == "R44"]
    assert [(str(route.destination), route.vbrs) for route in routes] == [
        ("192.168.10.1/32", ("vbr-1",)),
        ("192.168.10.2/32", ("vbr-2",)),
    ]


def test_r135_needs_both_halves() -> None:
    network = _with_services()
    assert _routes(_cpe(network))["100.64.0.0/10"] == "R135"
    del network["vbrs"]["vbr-1"]["routes"][-1]
    assert _routes(_cpe(network))["100.64.0.0/11"] == "R135"
    assert "100.64.0.0/10" not in _routes(_cpe(network))


def test_declared_routes_of_the_data_centre_are_there_too() -> None:
    network = hybrid()
    network["data_centres"]["idc"]["routes"] = [
        {"destination": "192.168.0.0/16", "via": ["vbr-1", "vbr-2"]},
        {"destination": "203.0.113.0/24", "via": ["vbr-2"]},
    ]
    assert "203.0.113.0/24" not in _routes(_cpe(network, "vbr-1"))
    assert _routes(_cpe(network, "vbr-2"))["203.0.113.0/24"] == "R31"


def test_r51_a_vpc_that_balances_is_answered_by_both_lines() -> None:
    text = text_of(_cpe(hybrid(), "vbr-1", "vbr-2"), "iproute2")
    both = "nexthop via 10.10.11.1 dev eth0.1000 nexthop via 10.10.12.1 dev eth1.1000"
    assert f"ip route replace 192.168.0.0/16 {both}\n" in text


def test_r50_a_vpc_that_prefers_a_line_is_answered_by_it() -> None:
    network = hybrid()
    system_routes(network)[0]["next_hop"] = {"active_standby": {"active": "ri-a2", "standby": "ri-a1"}}
    text = text_of(_cpe(network, "vbr-1", "vbr-2"), "iproute2")
    preferred = "ip route replace 192.168.0.0/16 via 10.10.12.1 dev eth1.1000 metric 100\n"
    assert preferred + "ip route replace 192.168.0.0/16 via 10.10.11.1 dev eth0.1000 metric 101\n" in text
    assert "ip route 192.168.0.0 255.255.0.0 10.10.12.1\nip route 192.168.0.0 255.255.0.0 10.10.11.1 2\n" in text_of(
        _cpe(network, "vbr-1", "vbr-2"), "cisco"
    )
    # What the data centre declares comes before what the VPC does.
    network["data_centres"]["idc"]["routes"] = [{"destination": "192.168.0.0/16", "via": ["vbr-1", "vbr-2"]}]
    assert _cpe(network, "vbr-2", "vbr-1").routes[0].vbrs == ("vbr-1", "vbr-2")


def test_r15_a_suspended_connection_is_said() -> None:
    network = hybrid()
    network["peering_connections"]["pcx-1"]["acceptor"]["state"] = "suspended"
    assert "suspended at present (R15)" in text_of(_cpe(network), "frr")
    assert "suspended" not in text_of(_cpe(network, "vbr-2"), "frr")


def test_d20_a_line_of_31_bits() -> None:
    network = copy.deepcopy(hybrid())
    network["vbrs"]["vbr-1"] |= {"local_ip": "10.10.11.2/31", "peer_ip": "10.10.11.3"}
    network["peering_connections"]["pcx-1"]["health_check"]["destination"] = "10.10.11.3"
    assert " ip address 10.10.11.3 255.255.255.254" in text_of(_cpe(network), "cisco")


def test_names_of_interfaces_are_never_too_long() -> None:
    network = loaded(hybrid()).network
    (line,) = cpe_of(network, ["vbr-1"], {"vbr-1": "enp0s31f6np0"}).lines
    assert sub_interface(line) == "vlan1000"
    (line,) = cpe_of(network, ["vbr-1"], {"vbr-1": "enp0s31f6"}).lines
    assert sub_interface(line) == "enp0s31f6.1000"
