"""XDP programs on devices, attached by netlink: the messages, and who stands there already.

Must never exchange a program that is not ours: each message says which one it takes the place of.
"""

import errno
import os

from dataplane.datapath import libbpf
from dataplane.errors import ConflictError, HostError
from dataplane.kernel import link, program
from dataplane.kernel.messages import DO, encode
from dataplane.kernel.netlink import NetlinkSocket
from dataplane.kernel.rtnetlink import RTM_SETLINK, ifinfmsg, nla, nlmsg

_IFLA_XDP = 43
_IFLA_XDP_FD, _IFLA_XDP_FLAGS, _IFLA_XDP_EXPECTED_FD = 1, 3, 8
_IF_NONE, _NATIVE, _REPLACE = 1, 4, 16
_NOTHING = 0xFFFFFFFF  # -1: no program


class _Message(nlmsg):
    """``struct ifinfomsg`` with what XDP needs."""

    fields = ifinfmsg.fields
    nla_map = ((_IFLA_XDP, "IFLA_XDP", "xdp"),)

    class xdp(nla):
        """A program and how it is put there."""

        nla_flags = 0x8000
        nla_map = (
            (_IFLA_XDP_FD, "IFLA_XDP_FD", "uint32"),
            (_IFLA_XDP_FLAGS, "IFLA_XDP_FLAGS", "uint32"),
            (_IFLA_XDP_EXPECTED_FD, "IFLA_XDP_EXPECTED_FD", "uint32"),
        )


def attach(socket: NetlinkSocket, ifindex: int, ifname: str, program_fd: int) -> None:
    """Attach a program in native mode, or exchange ours in place.

    Raises:
        ConflictError: somebody else's program is there.
        HostError: the kernel refuses.
    """
    present = _present(socket, ifindex)
    if present and not program.is_our_xdp(present):
        raise ConflictError(f"device {ifname} has an XDP program that is not ours; take it off, then apply again")
    _set(socket, ifindex, ifname, program_fd, present)


def detach(socket: NetlinkSocket, ifindex: int, ifname: str) -> None:
    """Take our program off; none, or somebody else's, is fine."""
    present = _present(socket, ifindex)
    if present and program.is_our_xdp(present):
        _set(socket, ifindex, ifname, _NOTHING, present)


def _present(socket: NetlinkSocket, ifindex: int) -> int:
    part = socket.get(link.get_request(ifindex))
    return link.read("", part).xdp_program if part is not None else 0


def _set(socket: NetlinkSocket, ifindex: int, ifname: str, program_fd: int, present: int) -> None:
    attrs = [("IFLA_XDP_FD", program_fd)]
    if not present:
        attrs.append(("IFLA_XDP_FLAGS", _NATIVE | _IF_NONE))
        refusal = socket.execute([_request(ifindex, attrs)])[0]
    else:
        expected = libbpf.open_program(present)
        try:
            attrs += [("IFLA_XDP_FLAGS", _NATIVE | _REPLACE), ("IFLA_XDP_EXPECTED_FD", expected)]
            refusal = socket.execute([_request(ifindex, attrs)])[0]
        finally:
            os.close(expected)
    if refusal is not None and refusal.code in (errno.EEXIST, errno.EBUSY):
        raise ConflictError(
            f"device {ifname} has just got an XDP program of somebody else; take it off, then apply again"
        )
    if refusal is not None:
        raise HostError(f"cannot change the XDP program of {ifname}: {refusal}")


def _request(ifindex: int, attrs: list[tuple[str, int]]) -> bytearray:
    return encode(_Message, RTM_SETLINK, DO, {"index": ifindex}, [("IFLA_XDP", {"attrs": attrs})])
