"""Broken and strange frames: never an accident of the program, every one judged and counted once (test 46)."""

import os
import random
from ipaddress import IPv4Address, IPv4Network

import pytest

from dataplane.datapath.simulate import Simulator
from dataplane.model.forwarding import (
    Forwarding,
    Hop,
    How,
    Leaf,
    LeafKind,
    Port,
    PortKind,
    Reason,
    Table,
    Verdict,
)
from tests.bpf.programs import filled
from tests.bpf.test_program import HOOKS, differences, is_long_enough
from tests.fakes.forwarding_model import IPV4, ForwardingModel, checksum, raw

RUNS = int(os.environ.get("DATAPLANE_RUNS", "1"))
SEED = int(os.environ.get("DATAPLANE_SEED", "20261120"))
FUZZED = 10_000
OWN, SENDER, NEXT, MINE = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03", "10.0.0.1"

STATE = Forwarding(
    ports={1: Port(1, 1_000_001, "", "", PortKind.INSTANCE, "", 1, OWN, IPv4Address(MINE), SENDER)},
    tables={1: Table(1, "", "", {IPv4Network("0.0.0.0/0"): Leaf(LeafKind.HOP, 1)})},
    hops={1: Hop(1, How.PEER, 1, 1_000_001, NEXT, OWN, 65_535)},
)


@pytest.fixture(scope="module")
def there() -> Simulator:
    with filled(STATE) as found:
        yield found


def packet(payload: bytes = b"\x04\x00\x00\x50\x00\x08\x00\x00", *, protocol: int = 17, **fields: int) -> bytes:
    """An IPv4 packet of the sender; the fields of its header may lie."""
    options = bytes(4 * (fields.get("ihl", 5) - 5)) if fields.get("ihl", 5) > 5 else b""
    head: list[int | bytes] = [fields.get("version", 4) << 4 | fields.get("ihl", 5), 0]
    head += [fields.get("length", 20 + len(options) + len(payload)), 1, fields.get("fragment", 0), 64, protocol, 0]
    head += [IPv4Address(MINE).packed, IPv4Address("198.51.100.7").packed]
    # The checksum covers the options as well: they are zero here.
    head[7] = fields.get("check", int.from_bytes(checksum(IPV4.pack(*head))))
    return IPV4.pack(*head) + options + payload


def ether(inside: bytes, kind: bytes = b"\x08\x00", to: str = OWN, sender: str = SENDER) -> bytes:
    return raw(to) + raw(sender) + kind + inside


def arp(sender_mac: str = SENDER, sender: str = MINE) -> bytes:
    body = bytes.fromhex("0001080006040001") + raw(sender_mac) + IPv4Address(sender).packed
    return ether(body + bytes(6) + IPv4Address("10.0.0.253").packed, b"\x08\x06", "ff:ff:ff:ff:ff:ff")


CASES = {
    "udp": (ether(packet()), Reason.FORWARDED),
    "padded": (ether(packet()) + bytes(18), Reason.FORWARDED),
    "fragment": (ether(packet(fragment=0x2000)), Reason.FORWARDED),
    "last fragment": (ether(packet(b"", fragment=185)), Reason.FORWARDED),
    "nothing but a header": (ether(packet(b"")), Reason.FORWARDED),
    "router alert": (ether(packet(ihl=6)), Reason.OPTIONS),
    "version 6 in an IPv4 frame": (ether(packet(version=6)), Reason.BAD_HEADER),
    "a length beyond the frame": (ether(packet(length=29)), Reason.BAD_LENGTH),
    "a length below the header": (ether(packet(length=19)), Reason.BAD_LENGTH),
    "a wrong checksum": (ether(packet(check=1)), Reason.BAD_CHECKSUM),
    "IPv6": (ether(bytes([0x60]) + bytes(60), b"\x86\xdd"), Reason.NOT_IPV4),
    "LLDP": (ether(bytes(60), b"\x88\xcc", "01:80:c2:00:00:0e"), Reason.NOT_IPV4),
    "ARP": (arp(), Reason.ARP),
    "ARP that asks whether an address is taken": (arp(sender="0.0.0.0"), Reason.ARP),
    "ARP in the name of another address": (arp(sender="10.0.0.2"), Reason.SPOOFED_ARP),
    "ARP in the name of another MAC": (arp(sender_mac=NEXT), Reason.SPOOFED_ARP),
    "ARP that is cut short": (arp()[:30], Reason.ARP),
    "802.1Q": (ether(b"\x00\x07\x08\x00" + packet(), b"\x81\x00"), Reason.TAGGED),
    "802.1ad, two tags": (ether(b"\x00\x07\x81\x00\x00\x08\x08\x00" + packet(), b"\x88\xa8"), Reason.TAGGED),
    "to everybody": (ether(packet(), to="ff:ff:ff:ff:ff:ff"), Reason.NOT_OURS),
    "from another MAC": (ether(packet(), sender=NEXT), Reason.SPOOFED_MAC),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("hook", HOOKS)
def test_each_kind_of_frame(there: Simulator, hook, name: str) -> None:
    """Named frames, each with the reason that a reader expects; forwarded ones are rewritten, others untouched."""
    frame, reason = CASES[name]
    run = there.run(hook, 1, frame)
    assert run.reason is reason
    assert run.verdict is reason.verdict
    if run.verdict is Verdict.FORWARD:
        assert run.frame[:22] == raw(NEXT) + raw(OWN) + frame[12:22]
        assert (run.frame[22], run.frame[23]) == (63, frame[23])
        assert run.frame[26:] == frame[26:]
    else:
        assert run.frame == frame


@pytest.mark.parametrize("hook", HOOKS)
def test_a_port_without_an_entry_lets_nothing_through(there: Simulator, hook) -> None:
    """Fail closed: also for numbers that no map has."""
    for port in (0, 2, 63, 64, 1_000_000, 2**32 - 1):
        assert there.run(hook, port, CASES["udp"][0]).reason is Reason.NO_PORT


def test_a_frame_in_pieces_is_not_forwarded(there: Simulator) -> None:
    """9 KB: XDP sees the first piece alone, which is shorter than its header says; so it goes nowhere."""
    assert there.run("xdp", 1, ether(packet(bytes(9000)))).reason is Reason.BAD_LENGTH


def strange_frames(chance: random.Random) -> list[bytes]:
    """Every frame of the cases cut at every byte, every IHL with every length around it, sizes, and noise."""
    frames = [frame[:length] for frame, _ in CASES.values() for length in range(14, len(frame) + 1)]
    for ihl in range(16):
        for length in (0, 19, 20, 4 * ihl - 1, 4 * ihl, 4 * ihl + 1, 27, 28, 29, 65_535):
            frames.append(ether(packet(ihl=ihl, length=max(0, length))))
    frames += [ether(packet(bytes(size))) for size in (0, 1, 1480, 1481, 3000, 3400)]
    for _ in range(FUZZED * RUNS):
        frame = bytearray(chance.choice(list(CASES.values()))[0])
        for _ in range(chance.randrange(1, 5)):
            frame[chance.randrange(len(frame))] = chance.choice([0, 255, chance.getrandbits(8)])
        frames.append(bytes(frame[: chance.randrange(14, len(frame) + 1)]))
    return frames


def test_strange_frames_are_judged_as_the_model_says_and_counted_once() -> None:
    """46: never XDP_ABORTED (an unknown code would raise), every drop has a reason, the reasons' sum is the frames'."""
    frames = strange_frames(random.Random(f"{SEED}/frames"))
    model, sent = ForwardingModel(STATE), 0
    with filled(STATE) as there:
        for frame in frames:
            for hook in HOOKS:
                if hook == "tc" and not is_long_enough(frame):
                    continue
                _, difference = differences(there, model, hook, 1, frame)
                assert not difference, f"DATAPLANE_SEED={SEED}, {difference}"
                sent += 1
        counted = there.counters(1)
        assert sum(count.packets for count in counted.values()) == sent
        assert there.unnamed_reasons(1) == 0
        assert there.counters(0) == {}
    assert sent > 1.5 * FUZZED * RUNS
