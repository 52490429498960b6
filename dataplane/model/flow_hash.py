"""The hash by which the forwarder gives a flow to a leg: the same 32 bits as ``ebpf/lib/flow.h``, in Python. Pure.

``ebpf/DESIGN.md`` ("Flows") defines it; whoever must know beforehand which leg a flow takes asks here.
"""

from ipaddress import IPv4Address

from dataplane.model.forwarding import BUCKETS

TCP, UDP = 6, 17
"""Protocol numbers (IANA)."""

_64_BITS = (1 << 64) - 1
_PORT_BITS = 16
_BUCKET_SHIFT = 56
"""The uppermost 8 of 64 bits choose one of 256 buckets."""


def bucket_of(protocol: int, one: tuple[IPv4Address, int], other: tuple[IPv4Address, int]) -> int:
    """The bucket of a flow, equal for both directions.

    Args:
        protocol: its number, ``TCP`` say.
        one: address and port of one end; port 0 for protocols without ports.
        other: of the other end.

    Returns:
        0 to 255: a place in ``model.buckets.bucket_orders``.
    """
    low, high = sorted(int(address) << _PORT_BITS | port for address, port in (one, other))
    value = ((low ^ protocol) * 0x9E3779B97F4A7C15) & _64_BITS
    value ^= value >> 32
    value = ((value ^ high) * 0xC2B2AE3D27D4EB4F) & _64_BITS
    value ^= value >> 29
    value = (value * 0x165667B19E3779F9) & _64_BITS
    return (value >> _BUCKET_SHIFT) % BUCKETS
