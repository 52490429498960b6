"""Veth pairs out of link dumps: which ends belong together, which pair is ours, which one is half made.

Pure: it computes on links that were read elsewhere. Ifindexes of ours are unique on the machine
(``names.port_ifindex``), so an end and the peer index that it shows are enough to find the other one.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from dataplane.kernel.link import Link
from dataplane.kernel.ownership import is_our_ifindex, is_our_mark, leftover_mark
from dataplane.model import names
from dataplane.model.kernel import Key, Veth


@dataclass(slots=True)
class LinkView:
    """The links of all namespaces that were looked into.

    Args:
        links: every one of them.
        our_namespaces: names of the namespaces that carry our mark.
        routers: those of them that are routers'.
    """

    links: list[Link] = field(default_factory=list)
    our_namespaces: set[str] = field(default_factory=set)
    routers: set[str] = field(default_factory=set)


def pair(view: LinkView, desired: Mapping[Key, Veth]) -> dict[Key, Veth]:
    """Our veths, by key. A half-made one, and the second one of a mark, get a mark that nothing desired has.

    Args:
        desired: the veths that are asked for; they say which end is ``a``, and under which reference a
            namespace with two names is meant.
    """
    ends = _our_ends(view, desired)
    found: dict[Key, Veth] = {}
    done: set[int] = set()
    for ifindex, link in sorted(ends.items()):
        if ifindex in done:
            continue
        other = ends.get(link.peer_ifindex)
        if other is not None and other.peer_ifindex != ifindex:
            other = None
        pair_of_links = [link] if other is None else [link, other]
        done.update(end.ifindex for end in pair_of_links)
        veth = _veth(link, other, view, desired)
        if not is_our_mark(veth.mark) or veth.key in found:
            aliases = {end.ifindex: end.alias for end in pair_of_links}
            veth = replace(veth, mark=leftover_mark(veth.ends, aliases))
        found[veth.key] = veth
    return found


def _our_ends(view: LinkView, desired: Mapping[Key, Veth]) -> dict[int, Link]:
    """The ends of our pairs by ifindex: those that carry a mark, those we must have made, and their other ends."""
    wanted = {(end.namespace, end.ifname) for veth in desired.values() for end in veth.ends}
    veths: dict[int, Link] = {}
    for link in view.links:
        if link.kind != "veth" or not is_our_ifindex(link.ifindex):
            continue
        if link.ifindex not in veths or (link.namespace, link.ifname) in wanted:
            veths[link.ifindex] = link
    ours = {
        ifindex for ifindex, link in veths.items() if is_our_mark(link.alias) or link.namespace in view.our_namespaces
    }
    peers = {veths[ifindex].peer_ifindex for ifindex in ours}
    return {ifindex: link for ifindex, link in veths.items() if ifindex in ours or ifindex in peers}


def _veth(link: Link, other: Link | None, view: LinkView, desired: Mapping[Key, Veth]) -> Veth:
    """One pair, or what is left of it, in the model's words; its mark is empty where the ends do not agree on it."""
    marks = {end.alias for end in (link, other) if end is not None}
    mark = marks.pop() if len(marks) == 1 else ""
    wanted = desired.get(("veth", mark))
    first, second = _order(link, other, view, wanted)
    mtus = {end.mtu for end in (link, other) if end is not None}
    if wanted is not None and len(mtus) > 1:
        mtus.discard(wanted.mtu)  # whichever end is wrong shows
    return Veth(mark, first.end if first else None, second.end if second else None, min(mtus))


def _order(link: Link, other: Link | None, view: LinkView, wanted: Veth | None) -> tuple[Link | None, Link | None]:
    """Which end is ``a``: as desired, else the router's, else the one that was made first."""
    if wanted is not None:
        is_a = [_is_at(link, wanted, "a"), other is not None and _is_at(other, wanted, "b")]
        is_b = [_is_at(link, wanted, "b"), other is not None and _is_at(other, wanted, "a")]
        if any(is_a) != any(is_b):
            return (link, other) if any(is_a) else (other, link)
    if other is not None and link.namespace not in view.routers and other.namespace in view.routers:
        return other, link
    if other is None and link.ifname == names.INSTANCE_IFNAME:
        return None, link
    return link, other


def _is_at(link: Link, wanted: Veth, end_name: str) -> bool:
    """Whether a link has the namespace and the name of an end that is desired."""
    end = wanted.a if end_name == "a" else wanted.b
    return end is not None and (end.namespace, end.ifname) == (link.namespace, link.ifname)
