"""A network with limits on one leg: the forwarder's by its own state, and the shaper at the port of the leg by hand.

The tests that use it are the fast path's. That the file's bandwidths become limits and shapers is shown elsewhere.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from dataplane.compile import forwarder as compiling
from dataplane.compile.forwarding import compile_forwarding
from dataplane.model.forwarding import Forwarding
from dataplane.model.limit import Limit
from dataplane.model.shaper import FIRST_LEAF, FORWARDER_LEAVES, HANDLE
from tests.netns.objects import inside

BANDWIDTH = 1_000_000_000
DIVISOR = 12
FLOW = BANDWIDTH // DIVISOR
QUEUE_S = 0.05
WIRE = 1514 / 1500
"""What HTB counts of a large packet, by what the limit counts."""


@dataclass
class Limits:
    """What legs are to allow, by the name of their router interface; the next apply does it.

    Args:
        seen: the state of the last compilation.
    """

    by_name: dict[str, Limit]
    seen: Forwarding | None = None

    def compile(self, *given: Any) -> Forwarding:
        state = compile_forwarding(*given)
        numbers = {name: leg for leg, name in state.leg_names.items()}
        limits = {numbers[name]: limit for name, limit in self.by_name.items()}
        self.seen = replace(state, limits=limits)
        return self.seen

    def leg(self, name: str) -> int:
        assert self.seen is not None
        return next(leg for leg, found in self.seen.leg_names.items() if found == name)

    def port(self, name: str) -> tuple[str, str]:
        """Namespace and interface that a leg leaves by."""
        assert self.seen is not None
        hop = next(hop for hop in self.seen.hops.values() if hop.leg == self.leg(name))
        port = self.seen.ports[hop.port]
        return port.namespace, port.ifname


@contextmanager
def limits(by_name: dict[str, Limit]) -> Iterator[Limits]:
    """Compilations have these limits meanwhile."""
    found = Limits(by_name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiling, "compile_forwarding", found.compile)
        yield found


def make_shaper(namespace: str, ifname: str, limit: Limit) -> None:
    """HTB leaves; what the kernel forwards has its leaf by the source port: those of one client follow each other."""
    major = f"{HANDLE >> 16:x}"
    flow = limit.flow or limit.bandwidth or 10 * BANDWIDTH
    root = round((limit.bandwidth or 10 * BANDWIDTH) * WIRE)
    queue = max(round(flow / 8 * QUEUE_S), 100_000)
    lines = [
        f"qdisc add dev {ifname} root handle {major}: htb default 0",
        f"class add dev {ifname} parent {major}: classid {major}:1 htb rate {root}bit burst 128k cburst 128k",
        f"filter add dev {ifname} parent {major}: prio 1 handle 10: protocol ip u32 divisor {FORWARDER_LEAVES}",
    ]
    for number in range(FORWARDER_LEAVES):
        leaf = f"{major}:{(FIRST_LEAF & 0xFFFF) + number:x}"
        rate = f"rate 64kbit ceil {round(flow * WIRE)}bit burst 16k cburst 70k quantum 70000"
        lines += [
            f"class add dev {ifname} parent {major}:1 classid {leaf} htb {rate}",
            f"qdisc add dev {ifname} parent {leaf} bfifo limit {queue}",
            f"filter add dev {ifname} parent {major}: prio 1 protocol ip u32 ht 10:{number:x}: "
            f"match u32 0 0 flowid {leaf}",
        ]
    mask = f"0x{2 * (FORWARDER_LEAVES - 1):04x}0000"  # Linux gives one client every second port
    lines.append(
        f"filter add dev {ifname} parent {major}: prio 1 protocol ip u32 ht 800:: match ip protocol 6 0xff "
        f"hashkey mask {mask} at 20 link 10:"
    )
    done = inside(namespace, "bash", "-c", "tc -batch - <<'END'\n" + "\n".join(lines) + "\nEND\n")
    assert done.returncode == 0, done.stderr
