"""What a measure can reach at most, and why, in words (R122). Pure.

Limits count IP bytes (D4), and so do ceilings; what is shown is what the measure counts: bits of IP packets, packets,
or the bits of TCP's payload.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from dataplane.accept.language import MeasureKind
from dataplane.accept.way import Way, WayLeg

IP_UDP_BYTES = 28
IP_TCP_BYTES = 52
"""With the time stamps that Linux sends (RFC 7323)."""
ETHERNET_BYTES = 14
MESSAGE_BYTES = {MeasureKind.BANDWIDTH: 1400, MeasureKind.PACKET_RATE: 16}
"""The payload of a datagram (R124, R127); netperf's packet rate has ``NETPERF_MESSAGE_BYTES``."""
NETPERF_MESSAGE_BYTES = 1
_MEGA = 1_000_000
_BITS = 8


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The most that a measure can show.

    Args:
        value: in the unit of the measure; None where nothing that is configured limits it.
        reason: why, as a person would say it.
    """

    value: float | None
    reason: str


def rate_text(bits: float) -> str:
    """``666.7 Mbit/s``."""
    if bits >= 1000 * _MEGA:
        return f"{bits / 1000 / _MEGA:.4g} Gbit/s"
    return f"{bits / _MEGA:.4g} Mbit/s"


def ceiling_of(kind: MeasureKind, way: Way, legs: Sequence[str], message_bytes: int, offered: int | None) -> Ceiling:
    """The ceiling of a measure.

    Args:
        legs: of each flow, the leg that it takes; empty strings where no leg is on the way.
        message_bytes: the payload of a datagram; of no account for TCP.
        offered: bits a second of payload that each client sends; None where it sends what it can.
    """
    if kind is MeasureKind.REQUESTS:
        return Ceiling(None, "one request at a time: the round trip decides")
    bits, reason = _bits(way, legs)
    if offered is not None:
        sent = offered * len(legs) * (message_bytes + IP_UDP_BYTES) / message_bytes
        if bits is None or sent < bits:
            bits, reason = sent, f"{_flows(len(legs))} offer {rate_text(sent)}"
    if bits is None:
        return Ceiling(None, reason)
    if kind is MeasureKind.STREAM:
        payload = way.mtu - IP_TCP_BYTES
        return Ceiling(bits * payload / way.mtu, f"{reason}; {payload} of {way.mtu} bytes (MTU) are payload")
    if kind is MeasureKind.PACKET_RATE:
        size = message_bytes + IP_UDP_BYTES
        return Ceiling(bits / _BITS / size, f"{reason}, in packets of {size} bytes")
    return Ceiling(bits, reason)


def _bits(way: Way, flows: Sequence[str]) -> tuple[float | None, str]:
    """Bits of IP packets a second over all legs, and why."""
    if not way.legs:
        return None, "no connection is on the way"
    used = Counter(flows)
    parts = [_leg_bits(leg, used[leg.name]) for leg in way.legs if used[leg.name]]
    known = [bits for bits, _ in parts if bits is not None]
    if len(known) < len(parts):
        return None, "no bandwidth is configured"
    total = sum(known)
    reason = " + ".join(text for _, text in parts)
    return total, reason if len(parts) == 1 else f"{reason} = {rate_text(total)}"


def _leg_bits(leg: WayLeg, flows: int) -> tuple[float | None, str]:
    capped = leg.cap * flows if leg.cap is not None else None
    if capped is not None and leg.cap is not None and (leg.bandwidth is None or capped < leg.bandwidth):
        share = f"{rate_text(leg.cap * leg.divisor)} / {leg.divisor}"
        return capped, f"{_flows(flows)} of at most {rate_text(leg.cap)} ({share}, R117) by {leg.name}"
    if leg.bandwidth is None:
        return None, ""
    return float(leg.bandwidth), f"{rate_text(leg.bandwidth)} of {leg.connection} (R21)"


def _flows(number: int) -> str:
    return f"{number} flow{'s' if number != 1 else ''}"


def offer(kind: MeasureKind, way: Way, legs: Sequence[str], message_bytes: int) -> int | None:
    """What each client of a UDP measure sends, in bits of payload a second: 100 Mbit/s (R127), more where a flow may.

    Without the second half, eight clients could not fill more than 800 Mbit/s.
    """
    if kind not in MESSAGE_BYTES:
        return None
    bits, _ = _bits(way, legs)
    share = 0.0 if bits is None else _MARGIN * bits / len(legs) * message_bytes / (message_bytes + IP_UDP_BYTES)
    return max(_OFFERED, round(share))


_OFFERED = 100 * _MEGA
_MARGIN = 1.1
