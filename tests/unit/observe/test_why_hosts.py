"""`why` over several hosts: against an independent walk over all of them, and what stops a packet between two."""

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from click.testing import CliRunner

from dataplane.agent.why import explain_offline
from dataplane.cli.main import cli
from dataplane.cli.why_text import elsewhere, explanation_document
from dataplane.compile.compiler import compile_network
from dataplane.config import Loaded
from dataplane.model import names
from dataplane.model.ids import IdBook
from dataplane.model.kernel import FdbEntry, KernelObject, Neighbour, UnderlayFilter, VxlanLink
from dataplane.model.path import LinkState
from dataplane.observe.why.atlas import Atlas
from dataplane.observe.why.code import Code
from dataplane.observe.why.elsewhere import at, host_of, identity, joined, name_of, namespace_of
from dataplane.observe.why.explain import Direction, Explainer, Explanation, Live, Question
from dataplane.observe.why.scene import Scene
from tests.fakes.networks import THREE_HOSTS, TWO_CIRCUITS, network
from tests.fakes.several_hosts import SeveralHosts, drawn
from tests.fakes.walk import Fate
from tests.unit.observe.test_why_walk import SAME_AS

HOSTS = ("host-1", "host-2", "host-3")
NETWORKS = int(os.environ.get("DATAPLANE_RANDOM_NETWORKS", "30"))
VTEP_2 = IPv4Address("172.20.0.12")
Change = Callable[[KernelObject], KernelObject | None]


def atlas_of(loaded: Loaded, here: str) -> Atlas:
    parts = {host: compile_network(loaded, IdBook(), {}, here=host) for host in loaded.network.hosts}
    return Atlas(loaded, parts.pop(here), here, parts)


def live_of(atlas: Atlas, change: Change = lambda item: item, links: Iterable[LinkState] = ()) -> Live:
    """This host's kernel as it would be after a change, with nobody to ask for routes."""
    items = [wish.object for wish in atlas.desired.wanted.values()]
    changed = [item if host_of(namespace_of(item)) else change(item) for item in items]
    scene = Scene((item for item in changed if item is not None), links, vteps=atlas.vteps())
    return Live(scene, lambda namespace, ingress, packet: None)


def disagreements(loaded: Loaded, walk: SeveralHosts, here: str) -> list[str]:
    """The questions of which `why` on one host and the independent walk think differently."""
    atlas = atlas_of(loaded, here)
    explainer, found = Explainer(atlas), []
    targets = [str(item.address) for item in atlas.instances.values()]
    targets += ["10.0.1.77", "192.168.1.77", "172.16.0.1", "100.64.8.1", "203.0.113.7", "10.10.10.2", "10.99.1.1"]
    for source in atlas.instances.values():
        for target in targets:
            if not source.is_running or target == str(source.address):
                continue
            way = explainer.explain(Question(source.id, target)).forward
            namespace = at(host_of(source.namespace) or here, name_of(source.namespace))
            fate = walk.send(namespace, target, source.ifname, str(source.address))
            if not _agrees(atlas, way, fate):
                found.append(f"{source.id} -> {target}: {fate}, and why says {way.configured}")
    return found


def _agrees(atlas: Atlas, way: Direction, fate: Fate) -> bool:
    trace = way.configured
    assert trace is not None
    passed = tuple(at(atlas.host_at(step.namespace), name_of(step.namespace)) for step in trace.steps)
    end = at(atlas.host_at(trace.ending.namespace), name_of(trace.ending.namespace))
    if passed[1 : 1 + len(fate.routers)] != fate.routers:
        return False
    if fate.verdict == "delivered":
        # That walk ends at the first instance, which may be a next hop: where it does not forward, its port is guarded,
        # and the packet does not even get to it.
        place = atlas.place(fate.where.removeprefix(f"{atlas.here}/"))
        is_refused = (way.verdict.code, way.verdict.where) == (Code.NOT_FORWARDING, place)
        return fate.where in passed or is_refused
    return (trace.ending.code, end) == (SAME_AS[fate.verdict], fate.where)


@pytest.mark.parametrize("seed", range(NETWORKS))
def test_from_every_host_it_says_what_an_independent_walk_over_all_hosts_says(seed: int) -> None:
    _, _, loaded = drawn(seed)
    walk = SeveralHosts(loaded)
    for here in HOSTS:
        assert disagreements(loaded, walk, here) == [], f"seed {seed}, asked on {here}"


def test_in_the_random_networks_packets_cross_hosts() -> None:
    crossed = 0
    for seed in range(20):
        _, _, loaded = drawn(seed)
        explainer = Explainer(atlas_of(loaded, "host-1"))
        ids = list(explainer.atlas.instances)
        found = [explainer.explain(Question(a, b)).forward for a in ids for b in ids if a != b]
        crossed += any(
            step.crossing is not None
            for way in found
            if way.configured is not None and way.verdict.code.is_delivered
            for step in way.configured.steps
        )
    assert crossed >= 5


def test_the_comparison_sees_a_walk_that_errs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The property above, red: a walk that delivers whatever a tunnel brings, and one that never leaves its host."""
    loaded = network(THREE_HOSTS)
    walk = SeveralHosts(loaded)
    assert disagreements(loaded, walk, "host-1") == []
    # The other host's part is looked up as if its packets were an instance's own: custom routes decide twice.
    monkeypatch.setattr("dataplane.observe.why.lookup._matches", lambda rule, iif, packet: rule.iif is None)
    assert disagreements(loaded, walk, "host-1")
    monkeypatch.undo()
    monkeypatch.setattr(Scene, "host_at", lambda self, vtep: None)
    assert disagreements(loaded, walk, "host-1")


def test_hops_on_other_hosts_are_named_with_their_host_and_without_its_numbers() -> None:
    found = explain_offline(network(THREE_HOSTS), Question("a2", "b3"), "host-1")
    assert found.is_good
    assert [(hop.where, hop.host, hop.ttl) for hop in found.forward.hops] == [
        ("a2 on host-2", "host-2", 64),
        ("vpc-a on host-2", "host-2", 64),
        ("vpc-b on host-2", "host-2", 63),
        ("vpc-b on host-3", "host-3", 62),
        ("b3 on host-3", "host-3", 61),
    ]
    sent = found.forward.hops[2]
    vni = names.vni("vpc", "vpc-b")
    assert (sent.ingress, sent.egress) == ("ri-b", f"tunnel to host-3 (VNI {vni})")
    assert (sent.table_number, sent.egress_ifname, sent.kernel_route, sent.rule) == (None, None, "", "")
    assert found.forward.hops[3].ingress == f"tunnel from host-2 (VNI {vni})"
    assert found.forward.hops[3].table == "delivery"
    back = found.back
    assert back is not None
    assert [(hop.where, hop.namespace) for hop in back.hops][2:4] == [
        ("vpc-a", "dp-vpc-vpc-a"),
        ("vpc-a on host-2", "dp-vpc-vpc-a"),
    ]
    assert (back.hops[2].host, back.hops[2].egress_ifname, back.hops[2].table_number) == ("host-1", "dpx6", 1002)


def test_a_next_hop_on_another_host_is_handed_the_packet() -> None:
    found = explain_offline(network(THREE_HOSTS), Question("a2", "10.99.1.1"), "host-2")
    hops = [(hop.where, hop.route) for hop in found.forward.hops]
    assert hops[1:4] == [("vpc-a", "10.99.0.0/16"), ("vpc-a on host-1", "default"), ("fw on host-1", "default")]
    assert (found.forward.verdict.code, found.forward.verdict.where) == (Code.NO_ROUTE, "vpc-a on host-1")


def test_the_document_says_the_host_of_every_hop(tmp_path: Path) -> None:
    file = tmp_path / "net.yaml"
    file.write_text(THREE_HOSTS)
    words = ["why", "a1", "b3", "--offline", str(file), "--host", "host-3", "-o", "json"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    hops = document["forward"]["configuration"]["hops"]
    assert [(hop["where"], hop["host"]) for hop in hops] == [
        ("a1 on host-1", "host-1"),
        ("vpc-a on host-1", "host-1"),
        ("vpc-b", "host-3"),
        ("b3", "host-3"),
    ]
    assert document["hosts_as_configured"] is None, "offline every host is as configured"


def ask(source: str, destination: str, here: str = "host-1", text: str = THREE_HOSTS, **more: object) -> Explanation:
    return explain_offline(network(text), Question(source, destination, **more), here)  # type: ignore[arg-type]


def line_of(text: str, found: Explanation) -> str:
    return text.splitlines()[found.forward.verdict.origin.line - 1]


@pytest.mark.parametrize("here", HOSTS)
def test_p7_a_source_that_the_sending_host_cannot_have_is_not_admitted(here: str) -> None:
    found = ask("fw", "b3", here, spoofed=IPv4Address("172.16.2.10"))
    verdict = found.forward.verdict
    assert (verdict.code, verdict.where) == (Code.NOT_ADMITTED, "host-3")
    assert "may not bring packets of 172.16.2.10: nobody on host-1 may send them (P7)" in verdict.text
    assert "host-3:" in line_of(THREE_HOSTS, found)


TWO = THREE_HOSTS.replace("vsw-a2: {zone: b,", "vsw-a2: {zone: a,").replace("vsw-b2: {zone: b,", "vsw-b2: {zone: c,")
"""Each VPC on a host of its own: its instances' MTU is the underlay's, and the tunnel's is less."""


@pytest.mark.parametrize(("size", "code"), [(1450, Code.DELIVERED), (1451, Code.TUNNEL_MTU)])
def test_what_a_tunnel_does_not_take_is_named_with_its_mtu(size: int, code: Code) -> None:
    found = ask("a1", "b3", text=TWO, size_bytes=size)
    assert found.forward.verdict.code is code
    if code is Code.TUNNEL_MTU:
        verdict = found.forward.verdict
        assert verdict.where == "vpc-a"
        assert "takes 1450 bytes, the packet has 1451" in verdict.text
        assert "under `hosts`" in verdict.remedy
        assert "pcx" in line_of(TWO, found)
        assert ask("a1", "b3", "host-3", TWO, size_bytes=size).forward.verdict.where == "vpc-a on host-1"


def test_the_mtu_of_a_vpc_that_spans_hosts_is_explained_by_them() -> None:
    verdict = ask("a1", "b3", size_bytes=1451).forward.verdict
    assert (verdict.code, verdict.where) == (Code.MTU, "a1")
    assert verdict.remedy == "send smaller packets: vpc-a spans hosts, and its tunnels need 50 bytes"


def test_an_address_that_nobody_has_is_asked_for_on_the_host_of_its_vswitch() -> None:
    found = ask("a1", "192.168.2.77")
    verdict = found.forward.verdict
    assert (verdict.code, verdict.where) == (Code.UNKNOWN_DESTINATION, "vpc-a on host-2")
    assert verdict.text == "no instance of vpc-a that is on host-2 has 192.168.2.77"
    assert "vsw-a2" in line_of(THREE_HOSTS, found)


def test_r85_an_instance_that_is_stopped_on_another_host() -> None:
    text = THREE_HOSTS.replace("ip: 192.168.2.10}", "ip: 192.168.2.10, state: stopped}")
    verdict = ask("a1", "a2", text=text).forward.verdict
    assert (verdict.code, verdict.where) == (Code.STOPPED, "a2 on host-2")


LINES_APART = TWO_CIRCUITS
for old, new in (
    ("{zones: {a: {}}}", "{zones: {a: {host: host-1}}}"),
    (
        "access_points:",
        "hosts: {host-1: {address: 172.20.0.11, device: eth0},"
        " host-2: {address: 172.20.0.12, device: eth0}}\naccess_points:",
    ),
    ("{daxing: {region: cn-beijing}}", "{daxing: {region: cn-beijing, host: host-2}}"),
):
    assert old in LINES_APART
    LINES_APART = LINES_APART.replace(old, new)


@pytest.mark.parametrize("here", HOSTS[:2])
def test_a_line_that_comes_in_at_another_host(here: str) -> None:
    far, near = ("vbr-1 on host-2", "vpc-a") if here == "host-1" else ("vbr-1", "vpc-a on host-1")
    found = ask("ecs-1", "172.16.5.5", here, LINES_APART)
    assert found.is_good
    assert (found.forward.verdict.code, found.forward.verdict.where) == (Code.DELIVERED, far)
    assert found.back is not None and found.back.start is not None
    assert found.back.start.via == "vbr-1"
    assert [hop.where for hop in found.back.hops][:2] == [far, near]
    assert found.back.hops[0].ingress.startswith("line pc-1, VLAN 1000")
    came_by = ask("172.16.5.5", "ecs-2", here, LINES_APART)
    assert came_by.is_good
    assert came_by.forward.hops[0].where == far


def test_r101_d16_what_comes_by_a_tunnel_of_a_connection_came_by_a_router_interface() -> None:
    routes = "- {destination: 172.16.0.0/16, next_hop: {active_standby: {active: ri-a1, standby: ri-a2}}}\n"
    text = LINES_APART.replace(
        routes, routes + "          - {destination: 10.7.0.0/16, next_hop: {router_interface: ri-a2}}\n"
    )
    to_vpc = "      - {destination: 192.168.0.0/16, next_hop: {router_interface: ri-v1}}\n"
    text = text.replace(to_vpc, to_vpc + to_vpc.replace("192.168.0.0/16", "10.7.0.0/16"))
    verdict = ask("172.16.5.5", "10.7.0.1", text=text, here="host-2").forward.verdict
    assert (verdict.code, verdict.where) == (Code.NO_ROUTE, "data centre idc")
    text = text.replace(
        "via: [vbr-1, vbr-2]}\n", "via: [vbr-1, vbr-2]}\n      - {destination: 10.7.0.0/16, via: [vbr-1]}\n", 1
    )
    verdict = ask("172.16.5.5", "10.7.0.1", text=text, here="host-2").forward.verdict
    assert (verdict.code, verdict.where) == (Code.NOT_TRANSITIVE, "vpc-a on host-1")
    assert verdict.text == "it came in by ri-a1, and 10.7.0.0/16 leads to ri-a2 (R101, D16)"


def of(kind: type, **fields: object) -> Callable[[KernelObject], bool]:
    def matches(item: KernelObject) -> bool:
        return isinstance(item, kind) and all(getattr(item, name) == value for name, value in fields.items())

    return matches


def change(matches: Callable[[KernelObject], bool], **fields: object) -> Change:
    return lambda item: replace(item, **fields) if matches(item) else item  # type: ignore[arg-type]


def remove(matches: Callable[[KernelObject], bool]) -> Change:
    return lambda item: None if matches(item) else item


TUNNEL = of(VxlanLink, mark="dataplane vpc_tunnel/vpc-a")
FILTER = of(UnderlayFilter)
UP = [LinkState(names.HOST, "eth0", True, True, 1500)]
"""The host's links as somebody saw them."""

FAULTS: dict[str, tuple[Change, list[LinkState], Code, Code]] = {
    "the tunnel is missing": (remove(TUNNEL), [], Code.NO_TUNNEL, Code.NO_TUNNEL),
    "the tunnel is down": (change(TUNNEL, up=False), [], Code.NO_TUNNEL, Code.NO_TUNNEL),
    "another VNI": (change(TUNNEL, vni=99), [], Code.WRONG_VNI, Code.WRONG_VNI),
    "another MAC": (change(TUNNEL, mac="02:00:00:00:00:99"), [], Code.DELIVERED, Code.WRONG_MAC),
    "another local address": (change(TUNNEL, local=VTEP_2), [], Code.DRIFT, Code.DELIVERED),
    "not as we make it": (change(TUNNEL, is_static=False), [], Code.DRIFT, Code.DRIFT),
    "the underlay device is missing": (lambda item: item, [replace(UP[0], ifname="eth7")], *[Code.NO_UNDERLAY] * 2),
    "the underlay device is down": (lambda item: item, [replace(UP[0], is_up=False)], *[Code.NO_UNDERLAY] * 2),
    "it has no carrier": (lambda item: item, [replace(UP[0], has_carrier=False)], *[Code.NO_UNDERLAY] * 2),
    "it is there": (lambda item: item, UP, Code.DELIVERED, Code.DELIVERED),
    "no forwarding entry": (remove(of(FdbEntry)), [], Code.NO_VTEP, Code.DELIVERED),
    "an entry to a stranger": (change(of(FdbEntry), vtep=IPv4Address("9.9.9.9")), [], Code.NO_VTEP, Code.DELIVERED),
    "an entry to a third host": (
        change(of(FdbEntry), vtep=IPv4Address("172.20.0.13")),
        [],
        Code.NO_VTEP,
        Code.DELIVERED,
    ),
    "no neighbour": (remove(of(Neighbour, address=VTEP_2)), [], Code.NO_VTEP, Code.DELIVERED),
    "another neighbour": (
        change(of(Neighbour, address=VTEP_2), mac="02:00:00:00:00:99"),
        [],
        Code.WRONG_MAC,
        Code.DELIVERED,
    ),
    "no filter": (remove(FILTER), [], Code.DELIVERED, Code.UNGUARDED),
    "a filter that was changed": (change(FILTER, is_whole=False), [], Code.DELIVERED, Code.UNGUARDED),
    "a filter that admits nobody": (change(FILTER, admissions=frozenset()), [], Code.DELIVERED, Code.NOT_ADMITTED),
}
"""What is changed on host-1, and what is said of a1 -> a2 (to host-2) and of the answer."""


@pytest.mark.parametrize("fault", FAULTS)
def test_what_stops_a_packet_between_hosts_is_named(fault: str) -> None:
    spoil, links, forward, back = FAULTS[fault]
    atlas = atlas_of(network(THREE_HOSTS), "host-1")
    found = Explainer(atlas, live_of(atlas, spoil, links)).explain(Question("a1", "a2"))
    assert found.back is not None
    for way, code in ((found.forward, forward), (found.back, back)):
        finding = way.finding
        assert finding.code is code, finding
        assert (way.disagreement is not None) == (code is not Code.DELIVERED)
        if code is not Code.DELIVERED:
            assert finding.text and finding.remedy and finding.origin.line
            assert finding.where in ("vpc-a", "host-1"), finding


def test_an_unguarded_host_still_delivers_and_is_not_well() -> None:
    atlas = atlas_of(network(THREE_HOSTS), "host-1")
    found = Explainer(atlas, live_of(atlas, remove(FILTER))).explain(Question("a1", "a2"))
    assert found.back is not None
    assert found.back.verdict.code is Code.DELIVERED and not found.back.is_good and not found.is_good
    assert str(found.back.disagreement).endswith("past a filter that is missing or changed")


def test_other_hosts_are_said_to_be_as_configured_once() -> None:
    atlas = atlas_of(network(THREE_HOSTS), "host-1")
    explainer = Explainer(atlas, live_of(atlas))
    assert elsewhere(explainer.explain(Question("a1", "fw"))) == ""
    assert elsewhere(Explainer(atlas).explain(Question("a1", "b3"))) == "", "nobody asked a kernel"
    one, two = explainer.explain(Question("a1", "b3")), explainer.explain(Question("a2", "b3"))
    assert elsewhere(one) == "host-3 is shown as configured: run the same `dataplane why` there for its kernel"
    both = "host-2 and host-3 are shown as configured: run the same `dataplane why` there for their kernels"
    assert elsewhere(two) == both
    assert explanation_document(two)["hosts_as_configured"] == ["host-2", "host-3"]


def test_objects_of_several_hosts_do_not_take_each_others_place() -> None:
    loaded = network(THREE_HOSTS)
    parts = {host: compile_network(loaded, IdBook(), {}, here=host) for host in HOSTS}
    both = joined(parts["host-1"], {host: parts[host] for host in ("host-2", "host-3")})
    assert len(both.wanted) == sum(len(part.wanted) for part in parts.values())
    assert all(identity(wish.object) == key for key, wish in both.wanted.items())
    assert {host_of(namespace_of(wish.object)) for wish in both.wanted.values()} == {"", "host-2", "host-3"}
