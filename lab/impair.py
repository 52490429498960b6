"""Impairments of a wire: what a leased line does to packets and a cable does not. Loss, delay and rate, both ways.

With netem where the kernel has it. Where it has not, the rate is a token bucket (tbf), loss is a number by chance in an
nftables chain at each end's egress, and a delay cannot be had: nothing else keeps packets back. Doing it twice changes
nothing.
"""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dataplane.errors import HostError
from lab.around import End
from lab.syscalls import in_network

_TABLE = "dataplane-lab"
_BURST_BYTES = 32_768
_QUEUE_MS = 50
_UNKNOWN = "qdisc kind is unknown"
PARTS = 10_000
"""A loss is so many of these."""


@dataclass(frozen=True, slots=True)
class Impairment:
    """What a wire does to packets, in each direction.

    Args:
        loss: so many of ``PARTS`` are lost.
        delay_ms: how long each is on its way.
        rate: bits a second; 0: as many as come.
    """

    loss: int = 0
    delay_ms: int = 0
    rate: int = 0

    def __bool__(self) -> bool:
        return bool(self.loss or self.delay_ms or self.rate)


NO_IMPAIRMENT = Impairment()


def impair(ends: Sequence[End], impairment: Impairment, places: Mapping[str, int]) -> None:
    """Make a wire as bad as its file says, at both ends' egress.

    Args:
        places: the id of a node or the name of a host -> its open network namespace.

    Raises:
        HostError: the kernel or a tool is missing that it takes; it is named.
    """
    for end in ends:
        with in_network(places[end.place]):  # a child process starts where the thread is
            said = _run(["tc", "qdisc", "replace", "dev", end.ifname, "root", "netem", *_netem(impairment)])
            if _UNKNOWN in said:
                _without_netem(end, impairment)
            elif said:
                raise HostError(f"the wire's end {end} takes no impairment: {said}")


def _netem(impairment: Impairment) -> list[str]:
    words = ["loss", f"{impairment.loss * 100 / PARTS:g}%"] if impairment.loss else []
    words += ["delay", f"{impairment.delay_ms}ms"] if impairment.delay_ms else []
    return [*words, *(["rate", f"{impairment.rate}bit"] if impairment.rate else [])]


def _without_netem(end: End, impairment: Impairment) -> None:
    if impairment.delay_ms:
        raise HostError(f"a delay at {end} takes the kernel's netem (CONFIG_NET_SCH_NETEM), which is not there")
    if impairment.rate:
        bucket = ["tbf", "rate", f"{impairment.rate}bit", "burst", str(_BURST_BYTES), "latency", f"{_QUEUE_MS}ms"]
        said = _run(["tc", "qdisc", "replace", "dev", end.ifname, "root", *bucket])
        if said:
            raise HostError(f"the rate at {end} takes the kernel's tbf (CONFIG_NET_SCH_TBF): {said}")
    if impairment.loss:
        said = _run(["nft", "-f", "-"], _rules(end.ifname, impairment.loss))
        if said:
            raise HostError(f"the loss at {end} takes nftables at egress (CONFIG_NETFILTER_EGRESS): {said}")


def _rules(ifname: str, loss: int) -> str:
    """A table for each end: flushed before it is filled, so that it may be there already."""
    table = f"table netdev {_TABLE}-{ifname}"
    hook = f'type filter hook egress device "{ifname}" priority 0;'
    rule = f"numgen random mod {PARTS} < {loss} drop"
    return f"{table} {{}}\ndelete {table}\n{table} {{ chain out {{ {hook} {rule}; }}; }}\n"


def _run(words: Sequence[str], text: str = "") -> str:
    """What a command says that went wrong; empty where nothing did."""
    if shutil.which(words[0]) is None:
        raise HostError(
            f"impairments of wires take `{words[0]}`: install {'iproute2' if words[0] == 'tc' else 'nftables'}"
        )
    done = subprocess.run(words, input=text, capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stderr.strip() or f"exit code {done.returncode}"
