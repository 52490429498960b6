"""What is ours, decided in one place: by name and mark, never by memory (dataplane/DESIGN.md, "What is ours").

- namespace: the prefix in its name, and a mark as the alias of its ``lo``; or an empty file of such a name.
- veth: the pair's mark as the alias of both ends; or, between birth and mark, an ifindex of our range at an end
  in a namespace of ours.
- VLAN link: the same, for a sub-interface and for both ends of a stand-in. Its filters: ``tc.py``; pins: ``bpffs.py``.
- VXLAN link: the same; all that is in the forwarding table of such a link is ours: the kernel keeps no mark there.
- underlay filter, classifier: the comment of the table. Shaper: the handle, on a port of ours.
- address: IFA_PROTO. Neighbour: NDA_PROTOCOL. Next hop: nh_protocol. Route: rtm_protocol. Rule: FRA_PROTOCOL.
- sysctl: none; the ones that are asked for, in namespaces that are ours or attached, and on the host.
"""

from collections.abc import Iterable, Mapping

from dataplane.model import names
from dataplane.model.kernel import VethEnd

_LEFTOVER = "leftover "
UNDERLAY_MARK = f"{names.MARK_PREFIX}underlay"
"""The comment of the nftables table that is the underlay filter."""
CLASSIFIER_MARK = f"{names.MARK_PREFIX}classifier"
"""The comment of the one in a router's namespace that is its classifier."""


def is_our_mark(alias: str) -> bool:
    """Whether an alias is a mark of ours."""
    return names.parse_mark(alias) is not None


def is_our_ifindex(ifindex: int) -> bool:
    """Whether an ifindex lies in the range that only we choose from."""
    return names.parse_port_ifindex(ifindex) is not None


def leftover_mark(ends: Iterable[VethEnd], aliases: Mapping[int, str]) -> str:
    """A made-up mark for a veth that nothing asks for: half made, or the second one of its mark.

    It is no mark in the sense of ``names.parse_mark`` and unlike that of every other veth, so that such a
    veth differs from all that is desired and is deleted.

    Args:
        ends: those that are in sight.
        aliases: what stands where a mark belongs, by ifindex.
    """
    return _LEFTOVER + " and ".join(
        f"{end.ifname} in {end.namespace} {_leftover_end(end.ifindex, aliases[end.ifindex])}" for end in ends
    )


def _leftover_end(ifindex: int, alias: str) -> str:
    return f"#{ifindex} marked {alias!r}"


def carries_mark(mark: str, ifindex: int, alias: str) -> bool:
    """Whether a link is still the one that was observed under a mark (asked before a deletion)."""
    return mark == alias or (mark.startswith(_LEFTOVER) and _leftover_end(ifindex, alias) in mark)
