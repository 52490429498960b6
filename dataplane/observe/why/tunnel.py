"""A packet in a tunnel: from a router of one host to a router of another one, as VXLAN and its filter do it.

Pure, over a `Scene` (RFC 7348; kernel.md, section 6): the neighbour gives a MAC, the MAC's forwarding entry the host,
that host's filter admits the packet or not, the VNI finds the link there, and the link takes what is for its own MAC.
"""

from dataclasses import dataclass

from dataplane.model import names
from dataplane.model.kernel import UnderlayFilter, VxlanLink
from dataplane.model.path import Packet
from dataplane.observe.why.code import Code
from dataplane.observe.why.elsewhere import at, host_of
from dataplane.observe.why.scene import Place, Scene
from dataplane.observe.why.trace import Crossing, Ending, Step


@dataclass(frozen=True, slots=True)
class Passage:
    """What became of a packet in a tunnel.

    Args:
        crossing: how it left; None where nothing says which host it is for.
        onward: where it comes out; None where it does not.
        ending: why it does not.
    """

    crossing: Crossing | None = None
    onward: Place | None = None
    ending: Ending | None = None


def cross(scene: Scene, step: Step, link: VxlanLink, packet: Packet) -> Passage:
    """Send a packet by a tunnel.

    Args:
        step: the router that sends it, with the way out that it chose.
        link: that way out.
    """
    place = (step.namespace, link.ifname)
    target = step.via or packet.destination
    mac = scene.neighbour_mac(place, target)
    if mac is None:
        return _lost(link, f"nothing says which MAC {target} has on {link.ifname}")
    vtep = scene.vtep(place, mac)
    if vtep is None:
        return _lost(link, f"no forwarding entry of {link.ifname} says which host the MAC {mac} is on")
    host = scene.host_at(vtep)
    if host is None:
        return _lost(link, f"the MAC {mac} is behind {vtep}, which is the underlay address of none of the hosts")
    far = scene.tunnel(host, link.vni)
    guard = scene.underlay_filter(host)
    crossing = Crossing(
        at(host, names.HOST),
        link.vni,
        far,
        is_guarded=guard is not None and guard.is_whole,
        is_static=link.is_static and (far is None or far.is_static),
    )
    ending = _refused(scene, crossing, link, mac, packet)
    if ending is not None or far is None:
        return Passage(crossing, ending=ending)
    return Passage(crossing, (far.namespace, far.ifname))


def _lost(link: VxlanLink, text: str) -> Passage:
    return Passage(ending=Ending(Code.NO_VTEP, link.namespace, link, text))


def _refused(scene: Scene, crossing: Crossing, near: VxlanLink, mac: str, packet: Packet) -> Ending | None:
    """Why the other host does not take a packet, in the order in which it looks; None where it does."""
    far, host = crossing.far, crossing.to
    guard = scene.underlay_filter(host_of(host))
    trouble = scene.device_trouble(host_of(host), guard.device) if guard is not None else ""
    if trouble:
        return Ending(Code.NO_UNDERLAY, host, guard, trouble)
    # Of a filter that was changed by hand this much is still to be seen: whom its sets let in.
    if guard is not None and not _admits(guard, near, packet):
        text = f"VNI {near.vni} from {near.local} may not bring packets of {packet.source}"
        return Ending(Code.NOT_ADMITTED, host, guard, text)
    if far is None:
        return Ending(Code.WRONG_VNI, host, near, f"no tunnel there has VNI {near.vni}")
    link = scene.link((far.namespace, far.ifname))
    if link is not None and link.trouble:
        return Ending(link.code, far.namespace, far, link.trouble)
    if far.mac != mac:
        text = f"the frame is for the MAC {mac}, and {far.ifname} has {far.mac}"
        return Ending(Code.WRONG_MAC, far.namespace, far, text)
    return None


def _admits(guard: UnderlayFilter, near: VxlanLink, packet: Packet) -> bool:
    """Whether a host's filter lets a packet in that comes by the other end of a tunnel (P7)."""
    return any(
        (item.vtep, item.vni) == (near.local, near.vni) and item.first <= packet.source <= item.last
        for item in guard.admissions
    )
