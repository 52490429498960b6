"""The hash in Python is the hash of the model that the real program is held against (tests/bpf/test_groups.py)."""

import random
from ipaddress import IPv4Address

from dataplane.model import flow_hash as flow
from tests.fakes import forwarding_model

_ETHERNET = bytes(12) + b"\x08\x00"


def frame(protocol: int, one: tuple[IPv4Address, int], other: tuple[IPv4Address, int]) -> bytes:
    """As much of a packet as a hash looks at: version and length, protocol, addresses, ports."""
    ip = b"\x45" + bytes(8) + bytes([protocol]) + bytes(2) + one[0].packed + other[0].packed
    return _ETHERNET + ip + one[1].to_bytes(2) + other[1].to_bytes(2) + bytes(16)


def end(chance: random.Random) -> tuple[IPv4Address, int]:
    return IPv4Address(chance.getrandbits(32)), chance.randrange(1, 65_536)


def test_the_bucket_is_the_models_in_both_directions() -> None:
    chance = random.Random(9)
    seen = set()
    for _ in range(500):
        one, other, protocol = end(chance), end(chance), chance.choice([flow.TCP, flow.UDP])
        bucket = flow.bucket_of(protocol, one, other)
        assert bucket == forwarding_model.bucket_of(frame(protocol, one, other))
        assert bucket == flow.bucket_of(protocol, other, one)
        seen.add(bucket)
    assert len(seen) > 200
