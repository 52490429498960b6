"""Health checks: what they may watch, from where, to where and how often (R39-R42, D1, D21)."""

from collections.abc import Iterator
from ipaddress import IPv4Address

from dataplane.config.health_check import CAREFUL_INTERVAL_MS, MAX_INTERVAL_MS, MIN_INTERVAL_MS, HealthCheck
from dataplane.config.problem import Path, Problem
from dataplane.config.rules.lookup import Joined, Lookup
from dataplane.config.vswitch import is_reserved


def check(lookup: Lookup) -> Iterator[Problem]:
    """Every rule about health checks."""
    seen: dict[IPv4Address, str] = {}
    for name, connection in lookup.network.peering_connections.items():
        item = connection.health_check
        if item is None:
            continue
        path: Path = ("peering_connections", name, "health_check")
        yield from _timing(lookup, path, item)
        for source in item.source:
            first = seen.setdefault(source, name)
            if first != name:
                message = f"{source} is the source of the health check of {first} too"
                yield lookup.error((*path, "source"), message, "R42", "use another idle address of the VPC")
        if len(set(item.source)) != len(item.source) or not item.source:
            message = "the sources are not one address for each host that probes"
            yield lookup.error((*path, "source"), message, "D21", "write one address, or a list of different ones")
    for joined in lookup.joined:
        if joined.connection.health_check is not None:
            yield from _ends(lookup, joined, joined.connection.health_check)


def _timing(lookup: Lookup, path: Path, item: HealthCheck) -> Iterator[Problem]:
    interval, timeout = item.interval_ms, item.timeout_ms
    if not MIN_INTERVAL_MS <= interval <= MAX_INTERVAL_MS:
        message = f"an interval of {interval} ms"
        yield lookup.error((*path, "interval"), message, "D1", "use 1ms to 60s")
    elif interval < CAREFUL_INTERVAL_MS:
        message = f"an interval of {interval} ms: a busy host is late by more"
        yield lookup.warning((*path, "interval"), message, "D1", f"use {CAREFUL_INTERVAL_MS}ms or more")
    if timeout is not None and not 1 <= timeout <= max(interval, 1):
        message = f"a timeout of {timeout} ms, with an interval of {interval} ms"
        yield lookup.error((*path, "timeout"), message, "D1", "use at least 1ms and the interval at most")


def _ends(lookup: Lookup, joined: Joined, item: HealthCheck) -> Iterator[Problem]:
    path: Path = (*joined.path, "health_check")
    vbr, vpc = lookup.network.vbrs.get(joined.initiator.vbr or ""), lookup.network.vpcs.get(joined.acceptor.vpc or "")
    if joined.initiator.vbr is None:
        message = "a health check watches the line of a VBR, and this connection has none"
        yield lookup.error(path, message, "R39", "remove health_check")
        return
    if vbr is not None and item.destination != vbr.peer_ip:
        message = f"{item.destination} is not the data centre's address on the line of {joined.initiator.vbr}"
        yield lookup.error((*path, "destination"), message, "R41", f"write {vbr.peer_ip}")
    for source in item.source if vpc is not None else ():
        if vpc is not None and source not in vpc.cidr:
            message = f"{source} is not inside {vpc.cidr} of VPC {joined.acceptor.vpc}"
            yield lookup.error((*path, "source"), message, "R40", f"use an idle address of {vpc.cidr}")
        for name, vswitch in vpc.vswitches.items() if vpc is not None else ():
            if source in vswitch.cidr and is_reserved(vswitch.cidr, source):
                message = f"{source} is a reserved address of vswitch {name} ({vswitch.cidr})"
                yield lookup.error((*path, "source"), message, "R79", "use an idle address")
