"""The numbers that other namespaces have in one: by them the kernel says where a link's other end, or a message, is."""

from dataplane.errors import HostError
from dataplane.kernel.attributes import attributes, u32
from dataplane.kernel.messages import DO, encode
from dataplane.kernel.netlink import NLM_F_REQUEST, NetlinkSocket
from dataplane.kernel.rtnetlink import nlmsg

_RTM_NEWNSID, _RTM_GETNSID = 88, 90
_NETNSA_NSID, _NETNSA_FD = 1, 3
_NONE = 0xFFFFFFFF
_HEADER_BYTES = 4


class _NumberMessage(nlmsg):
    """``struct rtgenmsg``, and whose number it is."""

    fields = (("family", "B"), ("pad1", "B"), ("pad2", "H"))
    nla_map = ((_NETNSA_NSID, "NETNSA_NSID", "uint32"), (_NETNSA_FD, "NETNSA_FD", "uint32"))


def ask(socket: NetlinkSocket, fd: int) -> int | None:
    """The number that a namespace has in that of the socket; None where it has none.

    Args:
        fd: of the namespace.
    """
    part = socket.get(encode(_NumberMessage, _RTM_GETNSID, NLM_F_REQUEST, {}, [("NETNSA_FD", fd)]))
    found = {} if part is None else attributes(part[0], part[1] + _HEADER_BYTES, part[2])
    number = u32(found.get(_NETNSA_NSID))
    return None if number == _NONE else number


def give(socket: NetlinkSocket, fd: int) -> int:
    """The number of a namespace, which it gets now where it has none.

    Raises:
        HostError: the kernel gives it none.
    """
    found = ask(socket, fd)
    if found is None:
        attributes_of = [("NETNSA_NSID", _NONE), ("NETNSA_FD", fd)]
        (refusal,) = socket.execute([encode(_NumberMessage, _RTM_NEWNSID, DO, {}, attributes_of)])
        found = ask(socket, fd)  # refused where somebody else has just given it one, which is as good
        if found is None:
            raise HostError(f"the kernel gives a namespace no number: {refusal}")
    return found
