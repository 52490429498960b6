"""Sysctls of our namespaces, all of them written out: a new namespace inherits the host's (kernel.md, section 1)."""

from collections.abc import Mapping
from sys import intern

from dataplane.model import names
from dataplane.model.kernel import Sysctl

_INSTANCE = {
    "net/ipv4/conf/{scope}/rp_filter": "0",
    "net/ipv4/conf/{scope}/accept_redirects": "0",
    "net/ipv6/conf/{scope}/disable_ipv6": "1",
}

_NO_REDIRECTS = {"net/ipv4/conf/{scope}/send_redirects": "0"}

_ROUTER = (
    _INSTANCE
    | _NO_REDIRECTS
    | {
        "net/ipv4/conf/{scope}/accept_source_route": "0",
        "net/ipv4/conf/{scope}/proxy_arp": "0",
        "net/ipv4/conf/{scope}/arp_ignore": "0",
        "net/ipv4/conf/{scope}/arp_filter": "0",
        "net/ipv4/conf/{scope}/arp_accept": "0",
    }
)

_NEIGHBOUR_THRESHOLDS = {"gc_thresh1": 16384, "gc_thresh2": 32768, "gc_thresh3": 65536}
"""The neighbour table is one per kernel and has 1024 entries by default: full, it cuts ARP everywhere."""


def _namespace_sysctls(namespace: str, patterns: Mapping[str, str], *, forwarding: bool) -> list[Sysctl]:
    # ip_forward first: writing it resets others of the same namespace.
    values = {"net/ipv4/ip_forward": "1" if forwarding else "0"}
    for scope in ("all", "default"):
        # One text for all namespaces: an agent keeps nine of them for each instance.
        values |= {intern(pattern.format(scope=scope)): value for pattern, value in patterns.items()}
    return [Sysctl(namespace, name, value) for name, value in values.items()]


def router_sysctls(namespace: str) -> list[Sysctl]:
    """Of a router: forwards, hashes flows on ports too; a port checks sources from birth until it is told otherwise.

    A next hop that changes is news of itself alone: by default the kernel tells of every route behind it as well, which
    takes milliseconds in a flip, and overruns whoever listens.
    """
    birth = "net/ipv4/conf/default/rp_filter"
    return [
        *(item for item in _namespace_sysctls(namespace, _ROUTER, forwarding=True) if item.name != birth),
        Sysctl(namespace, birth, "1"),
        Sysctl(namespace, "net/ipv4/fib_multipath_hash_policy", "1"),
        Sysctl(namespace, "net/ipv4/nexthop_compat_mode", "0"),
    ]


def instance_sysctls(namespace: str, *, forwarding: bool) -> list[Sysctl]:
    """Of an instance's own namespace: few, since each costs 10 us to read, and there are many instances."""
    # One that forwards sends packets back out of the interface that they came in by: no redirects for that. Of all
    # instances, since an interface keeps what it was born with when its instance begins to forward.
    return _namespace_sysctls(namespace, _INSTANCE | _NO_REDIRECTS, forwarding=forwarding)


def port_sysctls(namespace: str, ifname: str, *, check_source: bool) -> list[Sysctl]:
    """Of a router's port to an instance.

    Args:
        check_source: drop packets whose source is not the instance's (off where it forwards for others, and where
            rules do it).
    """
    values = {
        "net/ipv4/conf/{port}/forwarding": "1",
        "net/ipv4/conf/{port}/rp_filter": "1" if check_source else "0",
        "net/ipv4/conf/{port}/proxy_arp": "1",
        "net/ipv4/conf/{port}/send_redirects": "0",
        # 0.8 s and random by default: the first packet after an apply would be late.
        "net/ipv4/neigh/{port}/proxy_delay": "0",
    }
    return [Sysctl(namespace, name.format(port=ifname), value, ifname=ifname) for name, value in values.items()]


def transit_sysctls(namespace: str, ifname: str) -> list[Sysctl]:
    """Of a router interface: no source check (paths may be asymmetric), no proxy ARP (no addresses)."""
    values = {"forwarding": "1", "rp_filter": "0", "proxy_arp": "0", "send_redirects": "0"}
    return [Sysctl(namespace, f"net/ipv4/conf/{ifname}/{name}", value, ifname=ifname) for name, value in values.items()]


def host_sysctls() -> list[Sysctl]:
    """Of the host itself: only ever raised, never lowered again, also not by ``destroy``."""
    return [
        Sysctl(names.HOST, f"net/ipv4/neigh/default/{name}", str(value), at_least=True)
        for name, value in _NEIGHBOUR_THRESHOLDS.items()
    ]
