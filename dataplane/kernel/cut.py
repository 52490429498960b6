"""A silent cut, made on purpose: a program at the ingress of some links that drops everything (``dataplane drill``).

It sits before the forwarder's (priority), and is met by both paths: what ``bpf_redirect_peer`` brings comes by tc
ingress too. Owns its filter, known by its mark. Must never touch a link that it was not given.
"""

import os
import socket as sockets
import struct
from collections.abc import Iterable
from contextlib import suppress

from dataplane.datapath import libbpf
from dataplane.errors import HostError
from dataplane.kernel import netns, tc
from dataplane.kernel.netlink import NetlinkSocket

MARK = tc.FilterMark("dataplane_drill", 1)
_SCHED_CLS = 3
_INSTRUCTION = struct.Struct("=BBhi")
_DROP = _INSTRUCTION.pack(0xB7, 0, 0, 2) + _INSTRUCTION.pack(0x95, 0, 0, 0)
"""r0 = TC_ACT_SHOT; exit."""

Place = tuple[str, int]
"""A namespace, and the ifindex of a link in it."""


def cut(places: Iterable[Place]) -> None:
    """Let nothing in by these links any more; what was cut before a failure is mended again.

    Raises:
        HostError: a link is gone, or the kernel refuses.
    """
    done: list[Place] = []
    program = libbpf.load_program(_SCHED_CLS, "dp_drill", _DROP)
    try:
        for namespace, ifindex in places:
            with netns.entered(namespace), NetlinkSocket() as socket:
                ifname = _ifname(namespace, ifindex)
                _hooks(socket).attach(ifindex, ifname, tc.Hook.INGRESS, program)
            done.append((namespace, ifindex))
    except BaseException:
        mend(done)
        raise
    finally:
        os.close(program)


def mend(places: Iterable[Place]) -> None:
    """Let packets in again. Links and namespaces that are gone are fine."""
    for namespace, ifindex in places:
        with suppress(HostError), netns.entered(namespace), NetlinkSocket() as socket, suppress(OSError):
            _hooks(socket).detach(ifindex, sockets.if_indextoname(ifindex))


def mend_all(namespaces: Iterable[str]) -> tuple[str, ...]:
    """Take away every cut of ours in some namespaces: whoever made one and died over it. For an agent that starts.

    Returns:
        The namespaces in which there was one.
    """
    return tuple(namespace for namespace in namespaces if _mended(namespace))


def _mended(namespace: str) -> bool:
    try:
        with netns.entered(namespace), NetlinkSocket() as socket:
            hooks = _hooks(socket)
            holders = hooks.holders()
            for ifindex in holders:
                hooks.detach(ifindex, sockets.if_indextoname(ifindex))
    except (HostError, OSError):
        return False  # it is gone, or no namespace: the round that follows says what is wrong there
    return bool(holders)


def _hooks(socket: NetlinkSocket) -> tc.Hooks:
    # A link of ours keeps its clsact: to make or to remove one takes it out of service for a moment (qdisc_graft).
    return tc.Hooks(socket, MARK, keeps_clsact=True)


def _ifname(namespace: str, ifindex: int) -> str:
    try:
        return sockets.if_indextoname(ifindex)
    except OSError as error:
        raise HostError(f"link {ifindex} in {namespace} is not there; `dataplane status` says why") from error
