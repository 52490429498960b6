"""Hostile names wherever a name can stand, and the list of reliability D38, item by item: refused, and nothing touched.

What these names could do is become part of a path, an interface or a command. No check of ours opens a file.
"""

import copy
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pydantic_core import PydanticCustomError

from dataplane.agent.session import Session
from dataplane.config import InvalidConfig, Source, load_sources, values
from dataplane.config.compose import compose
from tests.fakes.kernel import FakeKernel
from tests.fakes.networks import PEERED, desired
from tests.fakes.walk import Walk

from .networks import Plain, hop, hybrid, problems, said, star, system_routes, two_vpcs, vpc
from .test_design_example import EXAMPLE
from .test_properties import put, spots

HOSTILE = {
    "absolute path": "/etc/passwd",
    "path upwards": "../x",
    "this folder": ".",
    "the folder above": "..",
    "nothing": "",
    "blank": " ",
    "too long": "a" * 129,
    "two commands": "a;b",
    "a command inside": "a`reboot`",
    "a substitution": "$(reboot)",
    "an option": "-rf",
    "two lines": "a\nb",
    "newline at the end": "a\n",
    "a zero byte": "a\0b",
    "colours of a terminal": "a\x1b[31m",
    "right to left": "a\u202eb",
    "another alphabet's a": "\u0430bc",
    "digits of another alphabet": "\u0661",
    "all of them": "all",
    "the default": "default",
    "the loopback": "lo",
    "a process": "pid:1",
    "a place of ours": "dp-vpc-vpc-a",
    "a wildcard": "*",
    "a quote": "a'b",
}
IDS = [name for name in HOSTILE.values() if name != "dp-vpc-vpc-a"]
"""As an id ours is harmless: it gets our prefix once more."""
FREE_TEXT = ("name", "description")


@pytest.mark.parametrize("what", HOSTILE)
def test_36_no_kind_of_name_lets_a_hostile_one_through(what: str) -> None:
    name = HOSTILE[what]
    for parse in (values.parse_id, values.parse_namespace_name, values.parse_interface_name):
        if (parse, name) in HARMLESS:
            assert parse(name) == name
        else:
            with pytest.raises(PydanticCustomError):
                parse(name)


HARMLESS = {
    (values.parse_id, "dp-vpc-vpc-a"),
    (values.parse_interface_name, "dp-vpc-vpc-a"),
    # A namespace may be called as it likes: only interfaces share /proc/sys/net/ipv4/conf with these words.
    (values.parse_namespace_name, "all"),
    (values.parse_namespace_name, "default"),
    (values.parse_namespace_name, "lo"),
}


def places() -> list[tuple[str | int, ...]]:
    """Every key and every text of the example that uses all keys, but for free text."""
    whole = compose("example.yaml", EXAMPLE, []).plain()
    return [path for path in spots(whole) if path and not (set(path) & set(FREE_TEXT))]


def spoilt(path: tuple[str | int, ...], name: str) -> Iterator[Plain]:
    """The example with one name in place of a key, and of a text."""
    whole = compose("example.yaml", EXAMPLE, []).plain()
    value = whole
    for step in path:
        value = value[step]
    if isinstance(value, str):
        network = copy.deepcopy(whole)
        put(network, path, name)
        yield network
    if isinstance(path[-1], str):
        network = copy.deepcopy(whole)
        parent = network
        for step in path[:-1]:
            parent = parent[step]
        parent[name] = parent.pop(path[-1])
        yield network


def test_36_a_hostile_name_is_refused_wherever_a_name_can_stand() -> None:
    """Each place with another of them, so that each of them meets many places."""
    tried = 0
    for number, path in enumerate(places()):
        for network in spoilt(path, IDS[number % len(IDS)]):
            found = problems(network)
            assert [one for one in found if one.severity == "error"], (path, IDS[number % len(IDS)])
            assert all(str(one).isprintable() for one in found)
            tried += 1
    assert tried > 200


@contextmanager
def watched() -> Iterator[list[str]]:
    """Everything that this process opens, makes, removes or starts meanwhile, as the interpreter reports it."""
    seen: list[str] = []
    is_on = True

    def look(event: str, arguments: tuple[object, ...]) -> None:
        if is_on and event.split(".")[0] in ("open", "os", "shutil", "socket", "subprocess", "sqlite3", "ctypes"):
            seen.append(f"{event} {arguments!r}")

    sys.addaudithook(look)
    try:
        yield seen
    finally:
        is_on = False


def test_36_a_refused_file_opens_nothing_and_changes_nothing(tmp_path) -> None:
    """Not even the folder of the state: what is wrong is said before anything else is done."""
    kernel = FakeKernel()
    session = Session(tmp_path / "state", tmp_path / "run", driver=kernel)
    texts = []
    for name in IDS:
        network = two_vpcs()
        network["vpcs"][name] = network["vpcs"].pop("vpc-a")
        network["vpcs"]["vpc-b"]["instances"]["ecs-b"]["attach"] = {"namespace": name}
        texts.append(json.dumps(network))
    with watched() as seen:
        for text in texts:
            with pytest.raises(InvalidConfig):
                session.apply(load_sources([Source("net.yaml", text)]))
    assert seen == []
    assert kernel.operations == 0 and list(tmp_path.iterdir()) == []


def test_36_the_watcher_sees_a_file_that_is_opened(tmp_path) -> None:
    with watched() as seen:
        (tmp_path / "x").write_text("")
    assert any("open" in event and str(tmp_path) in event for event in seen)


def _routes(count: int) -> Plain:
    network = two_vpcs()
    for number in range(count):
        system_routes(network).append(
            {"destination": f"10.{number // 256}.{number % 256}.0/24", "next_hop": hop("ri-a")}
        )
    return network


def _changed(network: Plain, path: str, value: object) -> Plain:
    """A network with one value set, by dotted path."""
    *parents, last = path.split(".")
    place = network
    for step in parents:
        place = place[int(step)] if isinstance(place, list) else place[step]
    place[int(last) if isinstance(place, list) else last] = value
    return network


def _route(destination: str) -> Plain:
    network = two_vpcs()
    system_routes(network).append({"destination": destination, "next_hop": hop("ri-a")})
    return network


def _overlapping() -> Plain:
    network = _changed(two_vpcs(), "vpcs.vpc-b.cidr", "192.168.0.0/16")
    _changed(network, "vpcs.vpc-b.instances.ecs-b.ip", "192.168.0.11")
    return _changed(network, "vpcs.vpc-b.vswitches.vsw-b.cidr", "192.168.0.0/24")


def _overlapping_peers() -> Plain:
    """Both of other regions than the VPC in the middle."""
    network = star(2) | {"profile": "tencent"}
    network["vpcs"]["vpc-1"] = vpc("10.0.128.0/17", "1", *system_routes(network, "vpc-1"))
    system_routes(network, "vpc-hub")[1]["destination"] = "10.0.128.0/17"
    for number in (0, 1):
        network["vpcs"][f"vpc-{number}"]["region"] = "shanghai"
        network["peering_connections"][f"pcx-{number}"]["bandwidth"] = "1Gbps"
    return network


def _same_vni() -> Plain:
    return _changed(_changed(two_vpcs(), "vpcs.vpc-a.vni", 7), "vpcs.vpc-b.vni", 7)


GROUP = "vpcs.vpc-a.route_tables.system.routes.0.next_hop.load_balance"
LIST_38 = {
    "overlap of peers": (_overlapping(), "R80"),
    "overlap of two peers of one VPC": (_overlapping_peers(), "R102"),
    "self-peering": (_changed(two_vpcs(), "peering_connections.pcx.acceptor.vpc", "vpc-a"), "R1"),
    "one-sided route": (_changed(two_vpcs(), "vpcs.vpc-b.route_tables.system.routes", []), "R72"),
    "dangling reference": (_changed(two_vpcs(), "peering_connections.pcx.acceptor.vpc", "vpc-c"), "R12"),
    "gateway outside subnet": (_changed(hybrid(), "vbrs.vbr-1.peer_ip", "10.10.99.2"), "R27"),
    "host bits set": (_changed(two_vpcs(), "vpcs.vpc-a.cidr", "192.168.0.1/16"), "D11"),
    "a CIDR of everything": (_changed(two_vpcs(), "vpcs.vpc-a.cidr", "0.0.0.0/0"), "R73"),
    "multicast": (_route("224.0.0.0/4"), "R84"),
    "VLAN 0": (_changed(hybrid(), "vbrs.vbr-1.vlan", 0), "R26"),
    "VLAN 4095": (_changed(hybrid(), "vbrs.vbr-1.vlan", 4095), "R26"),
    "VLAN twice": (_changed(hybrid(), "vbrs.vbr-2.physical_connection", "pc-1"), "R26"),
    "VNI too large": (_changed(two_vpcs(), "vpcs.vpc-a.vni", 16_777_216), None),
    "VNI twice": (_same_vni(), "R88"),
    "MTU too small": (_changed(two_vpcs(), "vpcs.vpc-a.mtu", 575), None),
    "weight 0": (_changed(hybrid(), f"{GROUP}.0", {"router_interface": "ri-a1", "weight": 0}), "R51"),
    "300 next hops": (_changed(hybrid(), GROUP, [f"ri-{number}" for number in range(300)]), "R51"),
    "300 routes": (_routes(300), "R60"),
    "rate 0": (_changed(hybrid(), "peering_connections.pcx-1.bandwidth", "0Mbps"), None),
    "negative rate": (_changed(hybrid(), "peering_connections.pcx-1.bandwidth", "-1Mbps"), None),
    "rate of 2^64": (_changed(hybrid(), "peering_connections.pcx-1.bandwidth", f"{2**64}kbps"), None),
    "rate of 2^64 as a number": (_changed(hybrid(), "peering_connections.pcx-1.bandwidth", 2**64), None),
}


@pytest.mark.parametrize("item", LIST_38)
def test_38_each_item_of_the_list_has_its_rule(item: str) -> None:
    """Where the rule book has no number for it, the message says the bounds."""
    network, rule = LIST_38[item]
    found = said(network)
    assert rule in {number for _, number, _ in found}
    assert item == "one-sided route" or "error" in {severity for severity, _, _ in found}


def _cycle(number: int) -> str:
    return f"destination: 10.9.0.0/16, next_hop: {{router_interface: ri-{number}}}"


def test_38_a_cycle_of_routes_ends_at_the_second_router() -> None:
    """Each of two VPCs sends 10.9.0.0/16 to the other (D16): no packet goes round, so that nothing need be refused."""
    text = PEERED.replace("destination: 192.168.0.0/16, next_hop: {router_interface: ri-1}", _cycle(1), 1)
    text = text.replace("destination: 172.16.0.0/12, next_hop: {router_interface: ri-2}", _cycle(2), 1)
    fate = Walk(wish.object for wish in desired(text).wanted.values()).send("dp-i-ecs-1", "10.9.0.1")
    assert (fate.verdict, fate.where) == ("prohibit", "dp-vpc-vpc-2")
    assert fate.routers == ("dp-vpc-vpc-1", "dp-vpc-vpc-2")
