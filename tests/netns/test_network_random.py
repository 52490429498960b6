"""Random networks applied one after the other to one host: each is reached from any other, and forwards as its file
says, also when an apply between them died, failed, or its memory was lost.

After each apply: it is done, a second one has nothing to do, and every packet between all instances (and to gateways,
unassigned addresses and foreign prefixes) passes exactly the namespaces that an independent model names. After the last
of a sequence, which is the first again, the host is as a clean apply of the same file with the same ids leaves it.

More sequences: DATAPLANE_RUNS=100. A failure names its seed, and the folder with the file of each step.
"""

import contextlib
import os
import random
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address
from itertools import product

import pytest

from dataplane.agent.session import Session
from dataplane.agent.store import State, Store
from dataplane.config import InvalidConfig, Source, load_sources
from dataplane.kernel import netns
from dataplane.kernel.driver import KernelDriver
from dataplane.model import names
from dataplane.plan.action import Action, Outcome
from tests.fakes.random_networks import ATTACHED, DEVICES, Choices, Plain, plain_network, text_of
from tests.fakes.route_model import RouteModel
from tests.netns.fingerprint import differences, fingerprint
from tests.netns.network import AppliedNetwork, listening_everywhere, our_namespaces
from tests.netns.objects import run

RUNS = int(os.environ.get("DATAPLANE_RUNS", "5"))
SEED = int(os.environ.get("DATAPLANE_SEED", "20261121"))
STEPS = 5
TTL = 7
MARK = b"random-network:"
TARGETS = ("10.0.1.253", "192.168.1.253", "10.0.1.200", "172.16.77.1", "203.0.113.9", "100.64.8.1", "169.254.0.1")
_IP = struct.Struct("!BBHHHBBH4s4s")
_UDP_PROTOCOL = socket.IPPROTO_UDP
_UDP = struct.Struct("!HHHH")


@pytest.fixture
def attached() -> Iterator[None]:
    """A namespace of somebody else's, to plug in."""
    run("ip", "netns", "add", ATTACHED)
    run("ip", "-n", ATTACHED, "link", "set", "dev", "lo", "up")
    yield
    run("ip", "netns", "del", ATTACHED)


@pytest.fixture
def lines() -> Iterator[None]:
    """The devices that the physical connections of the networks end at, with nobody at the far ends."""
    for device in DEVICES:
        run("ip", "link", "add", device, "type", "veth", "peer", "name", f"far-{device}")
        for end in (device, f"far-{device}"):
            run("ip", "link", "set", "dev", end, "up")
    yield
    for device in DEVICES:
        run("ip", "link", "del", "dev", device)


@pytest.mark.parametrize("number", range(RUNS))
def test_any_network_is_reached_from_any_other(
    network: AppliedNetwork, attached: None, lines: None, number: int
) -> None:
    """Style, rule 3; R15, R61-R63, R66, R83, R88, D16, D17."""
    chance = random.Random(f"{SEED}/{number}")
    first = choices = Choices()
    for step in range(STEPS):
        last = step == STEPS - 1
        choices = first if last else choices.again(chance, chance.choice([0.02, 0.1, 0.3]))
        first = choices if step == 0 else first
        plain = applied(network, choices, step, chance)
        where = f"DATAPLANE_SEED={SEED}, sequence {number}, {network.folder}/{step}.json"
        assert misled_packets(plain, addresses(network)) == [], where
    assert network.session().status().is_healthy
    there = fingerprint([*our_namespaces(), ATTACHED])
    assert differences(there, clean(network, text_of(plain))) == [], where


class Died(BaseException):
    """The process ends here."""


class UnrulyDriver(KernelDriver):
    """The kernel's driver, which dies at a stage, or fails an action in it before it reaches the kernel.

    Args:
        chance: says at which of the first stages, and at which action.
        deadly: whether it dies.
    """

    def __init__(self, chance: random.Random, *, deadly: bool) -> None:
        self._stages, self._deadly, self._chance = chance.randrange(1, 16), deadly, chance

    def perform(self, actions: Sequence[Action]) -> list[Outcome]:
        self._stages -= 1
        if self._stages != 0:
            return super().perform(actions)
        number = self._chance.randrange(len(actions))
        done = super().perform(actions[:number])
        if self._deadly:
            raise Died
        return [*done, Outcome(actions[number], "EIO: told to fail"), *super().perform(actions[number + 1 :])]


def disturb(network: AppliedNetwork, text: str, chance: random.Random) -> None:
    """What may happen before an apply: one that died, one that failed and was rolled back, or a lost state file."""
    event = chance.choice(["", "", "", "death", "fault", "loss"])
    if event in ("death", "fault"):
        driver = UnrulyDriver(chance, deadly=event == "death")
        session = Session(network.folder / "state", network.folder / "run", driver=driver)
        with contextlib.suppress(Died):
            session.apply(load_sources([Source("network.yaml", text)]))
    elif event == "loss":
        (network.folder / "state" / "state.sqlite").unlink(missing_ok=True)


def applied(network: AppliedNetwork, choices: Choices, step: int, chance: random.Random) -> Plain:
    """Apply what was chosen, perhaps with a disturbance before it. The file stays in the test's folder."""
    before = addresses(network)
    plain = plain_network(choices, before)
    try:
        network.session().plan(load_sources([Source("plan.yaml", text_of(plain))]))
    except InvalidConfig as error:
        for problem in error.problems:  # an instance that must leave its chosen address to one that has it in the file
            assert problem.rule == "R85", error
            _, vpc, _, instance = problem.path.split(".")
            plain["vpcs"][vpc]["instances"][instance]["state"] = "stopped"
    text = text_of(plain)
    (network.folder / f"{step}.json").write_text(text)
    disturb(network, text, chance)
    network.must_apply(text)
    after = addresses(network)
    for vpc in plain["vpcs"].values():
        for name, item in vpc["instances"].items():
            assert "state" in item or after[name] == before.get(name, after[name]), "R85: a running instance keeps it"
    return plain


def addresses(network: AppliedNetwork) -> dict[str, IPv4Address]:
    """The addresses that instances were given."""
    return Store(network.folder / "state").load().memory.addresses()


def clean(network: AppliedNetwork, text: str) -> dict[str, list[str]]:
    """What an empty host with the same ids looks like after an apply."""
    state = Store(network.folder / "state").load()
    assert network.session().destroy().is_done
    Store(network.folder / "state").save(State(state.book, state.memory))
    network.must_apply(text)
    return fingerprint([*our_namespaces(), ATTACHED])


def misled_packets(plain: Plain, where: Mapping[str, IPv4Address]) -> list[str]:
    """A line for each packet that was seen elsewhere than it should be, or not where it should be."""
    model = RouteModel(plain, where)
    instances = [name for vpc in plain["vpcs"].values() for name in vpc["instances"]]
    running = [name for name in instances if model.is_running(name)]
    targets = [*dict.fromkeys([*(where[name] for name in instances), *map(IPv4Address, TARGETS)])]
    sent: dict[bytes, tuple[str, IPv4Address, bool]] = {}
    with listening_everywhere(ATTACHED) as frames:
        for name in running:
            with sender(model.namespace(name)) as link:
                for target, is_spoofed in [*product(targets, [False]), (targets[0], True)]:
                    label = MARK + f"{name}>{target}{'!' * is_spoofed};".encode()
                    sent[label] = (name, target, is_spoofed)
                    source = IPv4Address("198.51.100.7") if is_spoofed else where[name]
                    link.send(frame(name, plain, source, target, label))
    return [line for label, packet in sent.items() if (line := judge(label, packet, model, frames))]


def sender(namespace: str) -> socket.socket:
    """A socket that sends frames as they are out of an instance's interface."""
    with netns.entered(namespace):
        link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    link.bind((names.INSTANCE_IFNAME, 0))
    return link


def judge(
    label: bytes, packet: tuple[str, IPv4Address, bool], model: RouteModel, frames: dict[str, list[bytes]]
) -> str:
    name, target, is_spoofed = packet
    expected, optional = model.passes(name, target, TTL, is_spoofed=is_spoofed)
    seen = {
        place for place, there in frames.items() if any(label in one and one[23] == socket.IPPROTO_UDP for one in there)
    }
    if seen - optional == set(expected) - optional:
        return ""
    return f"{label.decode()} was seen in {sorted(seen)} and should pass {expected}"


def frame(name: str, plain: Plain, source: IPv4Address, target: IPv4Address, payload: bytes) -> bytes:
    """A UDP packet of an instance, addressed to its router's port."""
    given = next(vpc["instances"][name].get("mac") for vpc in plain["vpcs"].values() if name in vpc["instances"])
    macs = [names.mac_address("port", name), given or names.mac_address("instance", name)]
    ether = b"".join(bytes.fromhex(mac.replace(":", "")) for mac in macs) + b"\x08\x00"
    udp = _UDP.pack(1000, 2000, _UDP.size + len(payload), 0) + payload
    head = [0x45, 0, _IP.size + len(udp), 1, 0, TTL, socket.IPPROTO_UDP, 0, source.packed, target.packed]
    head[7] = checksum(_IP.pack(*head))
    return ether + _IP.pack(*head) + udp


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
