"""Random whole networks, applied: the forwarder's program, the kernel and an independent model agree (tests 44, 45).

The program runs on the state that is compiled from the same desired objects; the kernel is asked for each packet at
each port (RTM_GETROUTE); the model reads the file. Up to the member of a group, where the kernel hashes differently.

More networks: DATAPLANE_RUNS=100. A failure names its seed.
"""

import os
import random
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from dataplane.agent.store import Store
from dataplane.compile.compiler import compile_network
from dataplane.compile.forwarding import compile_forwarding
from dataplane.config import Source, load_sources
from dataplane.datapath.simulate import Simulator
from dataplane.kernel import netns
from dataplane.kernel.driver import KernelDriver
from dataplane.kernel.lookup import KernelLookup
from dataplane.model.desired import Desired
from dataplane.model.forwarding import Forwarding, How, LeafKind, Learned, Port, PortKind, Reason, Verdict
from dataplane.model.kernel import Neighbour
from dataplane.model.path import Answer, Packet
from dataplane.model.simulation import Run
from lab.topology import TOPOLOGIES
from tests.bpf.programs import filled
from tests.bpf.test_groups import ether
from tests.fakes.forwarding_model import raw
from tests.fakes.random_networks import ATTACHED, DEVICES, Choices, Plain, plain_network, text_of
from tests.fakes.route_model import RouteModel
from tests.netns.network import AppliedNetwork
from tests.netns.objects import run as command

RUNS = int(os.environ.get("DATAPLANE_RUNS", "5"))
SEED = int(os.environ.get("DATAPLANE_SEED", "20261122"))
TARGETS = (
    "10.0.1.253",
    "10.0.1.200",
    "192.168.1.253",
    "172.16.77.1",
    "203.0.113.9",
    "100.64.8.1",
    "169.254.0.1",
    "10.10.10.1",
    "10.10.10.2",
    "10.10.10.3",
    "10.10.11.2",
    "127.0.0.1",
    "224.0.0.9",
    "255.255.255.255",
    "0.0.0.7",
)
STRANGER = IPv4Address("198.51.100.7")
PEER_MAC = "02:00:5e:00:00:01"
# What the kernel's look-up says of packets that the forwarder leaves to it or drops.
REFUSALS = {
    Reason.UNREACHABLE: {"EHOSTUNREACH"},
    Reason.PROHIBITED: {"EACCES"},
    Reason.BLACKHOLE: {"EINVAL"},
    # The kernel looks at the destination first, and then says that; neither of them forwards it.
    Reason.SPOOFED_SOURCE: {"EXDEV", "EINVAL", "EHOSTUNREACH", "EACCES"},
    Reason.MARTIAN: {"EINVAL", "EHOSTUNREACH", "ENETUNREACH", "EXDEV"},
}


@pytest.fixture
def network(tmp_path: Path) -> Iterator[AppliedNetwork]:
    """A host with two lines and a namespace of somebody else's, to apply to."""
    command("ip", "netns", "add", ATTACHED)
    for device in DEVICES:
        command("ip", "link", "add", device, "type", "veth", "peer", "name", f"far-{device}")
        for end in (device, f"far-{device}"):
            command("ip", "link", "set", "dev", end, "up")
    there = AppliedNetwork(tmp_path)
    yield there
    assert there.session().destroy().is_done
    for device in DEVICES:
        command("ip", "link", "del", "dev", device)
    command("ip", "netns", "del", ATTACHED)


@contextmanager
def forwarding(network: AppliedNetwork, text: str) -> Iterator[tuple[Simulator, Forwarding, Desired]]:
    """The program with the state of what was applied."""
    state = Store(network.folder / "state").load()
    loaded = load_sources([Source("network.yaml", text)])
    desired = compile_network(loaded, state.book, state.memory.addresses(), KernelDriver().facts())
    compiled = compile_forwarding(desired, learned(desired))
    with filled(compiled) as there:
        yield there, compiled, desired


def learned(desired: Desired) -> Learned:
    """The lines' own MACs as they are."""
    links = {}
    for port in compile_forwarding(desired).ports.values():
        if port.kind is PortKind.LINE:
            with netns.entered(port.namespace):
                mac = Path(f"/sys/class/net/{port.ifname}/address")
                found = command("cat", str(mac)) if mac.exists() else command("ip", "-o", "link", "show", port.ifname)
            links[port.namespace, port.ifname] = (mac_in(found), 1500)
    return Learned(links)


def mac_in(text: str) -> str:
    return next(word for word in text.split() if word.count(":") == 5 and word != "ff:ff:ff:ff:ff:ff")


@pytest.mark.parametrize("number", range(RUNS))
def test_program_kernel_and_model_agree(network: AppliedNetwork, number: int) -> None:
    chance = random.Random(f"{SEED}/{number}")
    plain = plain_network(Choices().again(chance, 1.0), {})
    text = text_of(plain)
    network.must_apply(text)
    met: Counter[Reason] = Counter()
    with forwarding(network, text) as (there, state, desired):
        where = f"DATAPLANE_SEED={SEED}, network {number}"
        assert not list(against_kernel(there, state, desired, met)), where
        assert not list(against_model(there, state, plain, desired)), where
    assert met[Reason.UNREACHABLE] > 0


@pytest.mark.parametrize("topology", ["cloud-services", "route-tables", "shared-circuit", "standby-circuits"])
def test_topologies_of_the_lab(network: AppliedNetwork, topology: str) -> None:
    """Lines with routes, groups over circuits, services: the kernel says of every packet what the program says."""
    text = (TOPOLOGIES / topology / "network.yaml").read_text()
    for device, far in (("eth8", "eth1"), ("eth9", "eth2")):
        text = re.sub(rf"device: {far}\b", f"device: {device}", text)
    network.must_apply(text)
    met: Counter[Reason] = Counter()
    with forwarding(network, text) as (there, state, desired):
        assert not list(against_kernel(there, state, desired, met))
    assert met[Reason.FORWARDED] > 0


def against_kernel(
    there: Simulator, state: Forwarding, desired: Desired, met: Counter[Reason]
) -> Iterator[tuple[object, ...]]:
    """Packets of which the kernel says otherwise than the program."""
    lookup = KernelLookup()
    targets = sorted({*desired.addresses.values(), *map(IPv4Address, TARGETS), *edges(state)})
    macs = {(item.namespace, item.ifname, item.address): item.mac for item in neighbours(desired)}
    for port in state.ports.values():
        if not port.mac:
            continue
        for source in {port.source or STRANGER, STRANGER, next(iter(desired.addresses.values()), STRANGER)}:
            for target in targets:
                packet = Packet(source, target, "udp", 1000, 2000)
                answer = lookup.route(port.namespace, port.ifname, packet)
                run = there.run("tc", port.id, frame(port, source, target))
                met[run.reason] += 1
                if answer is None or not agrees(state, run, answer, macs, target):
                    yield port, source, target, run, answer


def edges(state: Forwarding) -> set[IPv4Address]:
    """The first and last addresses of every prefix of the network, and their neighbours outside."""
    found = set()
    for table in state.tables.values():
        for prefix in table.routes:
            for number in (int(prefix.network_address), int(prefix.broadcast_address)):
                found |= {IPv4Address((number + step) % 2**32) for step in (-1, 0, 1)}
    return found


def neighbours(desired: Desired) -> list[Neighbour]:
    return [wish.object for wish in desired.wanted.values() if isinstance(wish.object, Neighbour)]


def frame(port: Port, source: IPv4Address, target: IPv4Address, ttl: int = 64) -> bytes:
    made = bytearray(ether(str(source), str(target), 17, bytes.fromhex("03e807d000080000"), ttl=ttl))
    made[:12] = raw(port.mac) + raw(port.source_mac or PEER_MAC)
    return bytes(made)


def agrees(
    state: Forwarding,
    run: Run,
    answer: Answer,
    macs: dict[tuple[str, str, IPv4Address], str],
    target: IPv4Address,
) -> bool:
    """Whether both say the same of a packet."""
    if answer.refusal:
        return answer.refusal in REFUSALS.get(run.reason, set()) or is_refused_late(state, run, target)
    if answer.is_local or answer.ifname == "lo":
        # A port that is guarded by rules lets the kernel hear a spoofed packet to the router itself, and us not: local
        # addresses come before all rules.
        return run.reason in (Reason.LOCAL, Reason.MARTIAN, Reason.SPOOFED_SOURCE)
    if run.verdict is not Verdict.FORWARD:
        return False
    leaf = run.steps[0].leaf
    assert leaf is not None
    taken = [leaf.value] if leaf.kind is LeafKind.HOP else [member.hop for member in state.groups[leaf.value].members]
    ways = {state.ports[state.hops[hop].port].ifname: state.hops[hop] for hop in taken if state.hops[hop].port}
    hop = ways.get(answer.ifname or "")
    if hop is None or state.hops[run.steps[0].hop].port != run.out:
        return False
    namespace = state.ports[run.out].namespace
    if hop.how is How.LINE:
        return (hop.via or target) == (answer.via or target)
    return hop.mac == macs.get((namespace, answer.ifname or "", answer.via or target))


def is_refused_late(state: Forwarding, run: Run, target: IPv4Address) -> bool:
    """Whether a packet goes to an instance that is not its destination and does not forward (R66).

    It refuses the packet itself. The kernel may do it in the router already, since its source check looks the sender up
    in the table of the port that the packet goes *out* by, and a guarded port has a rule for its own address only.
    """
    egress = state.ports.get(run.out)
    return run.reason is Reason.FORWARDED and egress is not None and egress.source not in (None, target)


def against_model(there: Simulator, state: Forwarding, plain: Plain, desired: Desired) -> Iterator[tuple[object, ...]]:
    """Packets of instances that pass other namespaces in the program's walk than the file says."""
    model = RouteModel(plain, desired.addresses)
    ports = {port.name: port for port in state.ports.values()}
    instances = [name for vpc in plain["vpcs"].values() for name in vpc["instances"] if model.is_running(name)]
    inside = {model.namespace(name) for name in instances}
    behind = {state.ports[hop.port].id: hop for hop in state.hops.values() if hop.port}
    names = {f"instance/{name}": model.namespace(name) for name in instances}
    for name in instances:
        port = ports[f"instance/{name}"]
        for target in sorted({*desired.addresses.values(), *map(IPv4Address, TARGETS[:7])}):
            for source, ttl in ((desired.addresses[name], 64), (desired.addresses[name], 2), (STRANGER, 64)):
                run = there.run("xdp", port.id, frame(port, source, target, ttl))
                seen = [model.namespace(name), *(state.ports[step.port].namespace for step in run.steps)]
                seen = seen if run.steps else [*seen, port.namespace]
                if run.verdict is Verdict.FORWARD and behind[run.out].far == 0:
                    seen.append(names.get(state.ports[run.out].name, ""))
                expected, optional = model.passes(name, target, ttl, is_spoofed=source == STRANGER)
                first = next((n for n, place in enumerate(expected) if n and place in inside), len(expected))
                # Beyond an instance that forwards it is another packet, by another port.
                if {*seen} - optional != {*expected[: first + 1]} - optional:
                    yield name, source, target, ttl, run, seen, expected, optional
