"""Every kernel name, number and mark that we choose: built here, parsed here, nowhere else.

Names of namespaces carry the user's checked id (D13), so that a person can type them. Names of
interfaces are generated from the port id: at most 15 characters, never user text. A *mark* is the
text by which an agent without memory recognises what is ours (``dataplane/DESIGN.md``, "What is ours").
"""

import hashlib
import re
from ipaddress import IPv4Address

NAMESPACE_PREFIX = "dp-"
MARK_PREFIX = "dataplane "
HOST = ""
"""The namespace that the command itself runs in, as a namespace reference."""

ROUTE_PROTOCOL = 219
"""``rtm_protocol`` of our routes, rules, next hops and neighbours: a number that no known daemon uses."""

TRANSIT_NEIGHBOUR = IPv4Address("169.254.0.1")
"""The one neighbour of every transit link (D12)."""

INSTANCE_IFNAME = "eth0"

IFINDEX_BASE = 1_000_000
"""ifindex = base + port id: machine-wide unique, so that it can be a key for the forwarder."""

VXLAN_PORT = 4789
"""RFC 7348, section 5."""

VXLAN_OVERHEAD_BYTES = 50
"""Outer IPv4, UDP and VXLAN headers, and the inner Ethernet header: what an MTU loses on the way between hosts."""

MAX_VNI = 16_777_215

TABLE_BASE = 1_000
GROUP_BASE = 100_000
PLACE_BASE = 1_000_000
PLACES = 32
"""Room for the places of a group, in next-hop ids: the orders of four legs are 24 (R51)."""

MAX_METRIC = 4_294_967_295
"""The metric of the closing ``unreachable default`` of every table."""

_PORT_NAME = re.compile(r"dp[a-z]([0-9]{1,9})")
_PID_REFERENCE = re.compile(r"pid:([0-9]{1,9})")


def vpc_namespace(vpc_id: str) -> str:
    """The namespace of a VPC's VRouter on this host."""
    return f"{NAMESPACE_PREFIX}vpc-{vpc_id}"


def vbr_namespace(vbr_id: str) -> str:
    """The namespace of a virtual border router."""
    return f"{NAMESPACE_PREFIX}vbr-{vbr_id}"


def service_namespace(vpc_id: str) -> str:
    """The namespace in which a VPC's cloud services answer (R133)."""
    return f"{NAMESPACE_PREFIX}svc-{vpc_id}"


def instance_namespace(instance_id: str) -> str:
    """The namespace of an instance that is not attached from elsewhere."""
    return f"{NAMESPACE_PREFIX}i-{instance_id}"


def is_our_namespace_name(name: str) -> bool:
    """Whether a namespace of this name could be ours; the mark inside decides."""
    return name.startswith(NAMESPACE_PREFIX)


def is_router_namespace_name(name: str) -> bool:
    """Whether a namespace of this name could be a router's of ours (a VPC's or a VBR's); the mark inside decides."""
    return name.startswith((vpc_namespace(""), vbr_namespace("")))


def pid_reference(pid: int) -> str:
    """The namespace reference of a running process."""
    return f"pid:{pid}"


def parse_pid_reference(reference: str) -> int | None:
    """The process id in a namespace reference, or None where it is a name under /run/netns."""
    match = _PID_REFERENCE.fullmatch(reference)
    return int(match.group(1)) if match else None


def mark(kind: str, path: str) -> str:
    """The alias text on what belongs to a resource: on a namespace's ``lo`` and on both ends of a veth."""
    return f"{MARK_PREFIX}{kind}/{path}"


def parse_mark(alias: str) -> tuple[str, str] | None:
    """Kind and path out of a mark, or None where the text is not one of ours."""
    if not alias.startswith(MARK_PREFIX):
        return None
    kind, slash, path = alias[len(MARK_PREFIX) :].partition("/")
    return (kind, path) if slash else None


def unit_of(kind: str, path: str) -> str:
    """How a unit is called (P2): a VPC by its id, a VBR as ``vbr/<id>``, since ids are unique per kind only."""
    return path if kind == "vpc" else f"{kind}/{path}"


def is_router_mark(alias: str) -> bool:
    """Whether a namespace's mark says that it is a router's (a VPC's or a VBR's)."""
    parsed = parse_mark(alias)
    return parsed is not None and parsed[0] in ("vpc", "vbr")


TRANSIT_PREFIX = "dpr"
"""How the ports begin by which routers are joined to others (``port_ifname`` of "r")."""


def port_ifname(letter: str, port_id: int) -> str:
    """The interface name of a port: ``dpi7`` for an instance port, ``dpr9`` for a router interface."""
    return f"dp{letter}{port_id}"


def is_port_ifname(ifname: str) -> bool:
    """Whether an interface name is one that we generate."""
    return _PORT_NAME.fullmatch(ifname) is not None


def port_ifindex(port_id: int) -> int:
    """The ifindex of a port."""
    return IFINDEX_BASE + port_id


def parse_port_ifindex(ifindex: int) -> int | None:
    """The port id behind an ifindex, or None where the kernel chose the number."""
    return ifindex - IFINDEX_BASE if ifindex > IFINDEX_BASE else None


def table_number(table_id: int) -> int:
    """The kernel's number of a route table."""
    return TABLE_BASE + table_id


def group_number(group_id: int) -> int:
    """The kernel's next-hop id of a group; legs use their id as it is, well below."""
    return GROUP_BASE + group_id


def place_number(group_id: int, place: int) -> int:
    """The kernel's next-hop id of a place of a group, from 0; above those of all groups."""
    return PLACE_BASE + group_id * PLACES + place


def parse_group_number(nexthop_id: int) -> int | None:
    """The id of the group that a next-hop id is, or is a place of; None for a leg's."""
    if nexthop_id >= PLACE_BASE:
        return (nexthop_id - PLACE_BASE) // PLACES
    return nexthop_id - GROUP_BASE if nexthop_id >= GROUP_BASE else None


def vni(kind: str, path: str) -> int:
    """A VXLAN network id that every host computes alike from the resource's id: 1 to 16,777,215."""
    digest = hashlib.blake2s(f"vni/{kind}/{path}".encode(), digest_size=8).digest()
    return 1 + int.from_bytes(digest) % MAX_VNI


def mac_address(kind: str, path: str) -> str:
    """A locally administered unicast MAC that every host computes alike from the resource's id."""
    digest = hashlib.blake2s(f"{kind}/{path}".encode(), digest_size=5).digest()
    return ":".join(f"{octet:02x}" for octet in b"\x02" + digest)
