"""Which limits the legs of a connection get, out of what the file says (R21, R106, R117-R119, D4, D5, D19)."""

import pytest

from dataplane.compile.compiler import compile_network
from dataplane.compile.shaper import has_limits
from dataplane.model.host import HostFacts
from dataplane.model.ids import IdBook
from dataplane.model.kernel import Classifier, Nexthop, Shaper, VxlanLink
from tests.fakes.networks import ONE_LINE, PEERED, THREE_HOSTS, desired, network

TO_VBR, TO_VPC = "dp-vpc-border", "dp-vbr-vbr-1"
_CONNECTION = "acceptor: {router_interface: ri-a, vpc: border}"
_OFF = "version: 1\ndatapath: {hook: off}\n"


def lined(keys: str, line: str = "") -> str:
    """``ONE_LINE`` with keys of its connection and of its line."""
    assert _CONNECTION in ONE_LINE
    assert "device: wire0" in ONE_LINE
    text = ONE_LINE.replace(_CONNECTION, f"{_CONNECTION}, {keys}" if keys else _CONNECTION)
    return text.replace("device: wire0", f"device: wire0, {line}" if line else "device: wire0")


def shapers(text: str, facts: HostFacts | None = None) -> dict[str, Shaper]:
    found = [wish.object for wish in desired(text, facts=facts).wanted.values()]
    return {item.namespace: item for item in found if isinstance(item, Shaper)}


def limits(text: str) -> dict[str, tuple[int, int]]:
    return {namespace: (item.bandwidth, item.flow) for namespace, item in shapers(text).items()}


GIGABIT, TWELFTH = 1_000_000_000, 83_333_333


@pytest.mark.parametrize(
    ("keys", "line", "wanted"),
    [
        ("bandwidth: 1Gbps", "", {TO_VBR: (GIGABIT, TWELFTH), TO_VPC: (GIGABIT, 0)}),
        ("bandwidth: 1Gbps, flow_cap: off", "", {TO_VBR: (GIGABIT, 0), TO_VPC: (GIGABIT, 0)}),
        ("bandwidth: 1Gbps, flow_cap: {divisor: 4}", "", {TO_VBR: (GIGABIT, GIGABIT // 4), TO_VPC: (GIGABIT, 0)}),
        (
            "bandwidth: 1Gbps, flow_cap: {direction: both}",
            "",
            {TO_VBR: (GIGABIT, TWELFTH), TO_VPC: (GIGABIT, TWELFTH)},
        ),
        ("bandwidth: 1Gbps", "bandwidth: 6Gbps", {TO_VBR: (GIGABIT, TWELFTH), TO_VPC: (GIGABIT, 0)}),
        ("", "bandwidth: 6Gbps", {TO_VBR: (0, 500_000_000)}),
        ("flow_cap: off", "bandwidth: 6Gbps", {}),
        ("", "", {}),
    ],
)
def test_r117_r119_d4_d5_d19_limits_of_a_leg(keys: str, line: str, wanted: dict[str, tuple[int, int]]) -> None:
    """Bandwidth both ways; a flow from the VPC to the VBR only; the line's rate where the connection has none."""
    assert limits(lined(keys, line)) == wanted


def test_r21_between_vpcs_there_is_a_bandwidth_and_no_cap() -> None:
    text = PEERED.replace(
        "acceptor: {router_interface: ri-2, vpc: vpc-2}",
        "acceptor: {router_interface: ri-2, vpc: vpc-2}, bandwidth: 2Mbps",
    )
    assert limits(text) == {"dp-vpc-vpc-1": (2_000_000, 0), "dp-vpc-vpc-2": (2_000_000, 0)}


def test_the_shaper_is_at_the_port_that_the_leg_leads_by() -> None:
    wanted = desired(lined("bandwidth: 1Gbps")).wanted
    shaped = {(one.namespace, one.ifname) for wish in wanted.values() if isinstance(one := wish.object, Shaper)}
    legs = [wish.object for wish in wanted.values() if isinstance(wish.object, Nexthop)]
    assert shaped == {(leg.namespace, leg.ifname) for leg in legs if leg.ifname is not None}
    classifiers = [wish.object for wish in wanted.values() if isinstance(wish.object, Classifier)]
    assert {(one.namespace, ifname) for one in classifiers for ifname in one.ifnames} == shaped


def test_where_the_kernel_forwards_flows_have_more_leaves() -> None:
    """A hash holds them apart there; and nothing needs many leaves where no flow has a cap."""
    text = lined("bandwidth: 1Gbps")
    assert {item.leaves for item in shapers(text).values()} == {64}
    off = shapers(text.replace("version: 1\n", _OFF, 1))
    assert (off[TO_VBR].leaves, off[TO_VPC].leaves) == (1024, 64)
    assert shapers(text, HostFacts(forwarder_lacks="no bcc"))[TO_VBR].leaves == 1024
    assert shapers(text.replace("version: 1\n", _OFF.replace("off", "xdp"), 1))[TO_VBR].leaves == 1024


def test_an_end_that_is_missing_has_no_shaper() -> None:
    text = ONE_LINE.replace(
        "acceptor: {router_interface: ri-b, vpc: border}",
        "acceptor: {router_interface: ri-b, vpc: border}, bandwidth: 1Gbps",
    )
    assert text != ONE_LINE
    assert shapers(text) == {}


def test_a_kernel_that_cannot_says_so_and_nothing_else_waits() -> None:
    text, why = lined("bandwidth: 1Gbps"), "the kernel has no HTB: modprobe sch_htb (CONFIG_NET_SCH_HTB)"
    without = desired(text, facts=HostFacts(limits_lack=why))
    assert not [wish for wish in without.wanted.values() if isinstance(wish.object, Shaper | Classifier)]
    assert f"bandwidth and flow_cap of connections are not enforced: {why} (R21, R117)" in without.notes
    assert not [note for note in desired(text).notes if "enforced" in note]
    assert not [note for note in desired(ONE_LINE, facts=HostFacts(limits_lack=why)).notes if "enforced" in note]


def test_whether_a_network_has_limits() -> None:
    assert has_limits(network(lined("bandwidth: 1Gbps")).network)
    assert has_limits(network(lined("", "bandwidth: 6Gbps")).network)
    assert not has_limits(network(ONE_LINE).network)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("bandwidth: 1Gbps", "1Gbps, a flow to the VBR 83.33Mbps"),
        (
            "bandwidth: 1Gbps, flow_cap: {direction: both}",
            "1Gbps, a flow to the VBR 83.33Mbps, a flow to the VPC 83.33Mbps",
        ),
        ("bandwidth: 1Gbps, flow_cap: off", "1Gbps"),
        ("", ""),
    ],
)
def test_status_shows_the_limits(keys: str, words: str) -> None:
    details = {str(item.resource): item.detail for item in desired(lined(keys)).declared}
    assert details["peering_connection pcx-1"] == words


def test_d5_each_host_shapes_what_it_sends_itself_by_a_tunnel_too() -> None:
    """And says so, since nothing is exchanged between hosts."""
    text = THREE_HOSTS.replace("  pcx:\n", "  pcx:\n    bandwidth: 2Mbps\n")
    assert text != THREE_HOSTS
    for host, ports in (("host-1", 1), ("host-2", 2), ("host-3", 1)):
        found = compile_network(network(text), IdBook(), {}, here=host)
        items = [wish.object for wish in found.wanted.values()]
        shaped = {(one.namespace, one.ifname) for one in items if isinstance(one, Shaper)}
        legs = {(one.namespace, one.ifname) for one in items if isinstance(one, Nexthop) and one.ifname is not None}
        tunnels = {(one.namespace, one.ifname) for one in items if isinstance(one, VxlanLink)}
        assert (shaped, len(shaped)) == (legs, ports)
        assert bool(shaped & tunnels) == (host != "host-2"), "both routers are there, joined by a veth"
        assert [note for note in found.notes if note.startswith("each host holds its own part to the limits of pcx")]
