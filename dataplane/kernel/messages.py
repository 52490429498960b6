"""Encoding of netlink messages: pyroute2's message classes, one function to fill one in.

Owns the shape of a request as bytes. The kinds declare light subclasses with the few attributes
that we use. Must never send anything.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dataplane.kernel.netlink import NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, Part
from dataplane.model.kernel import KernelObject
from dataplane.plan.action import Verb

AF_INET = 2

DO = NLM_F_REQUEST | NLM_F_ACK
CREATE = DO | NLM_F_CREATE | NLM_F_EXCL
CHANGE = DO | NLM_F_CREATE | NLM_F_REPLACE
DUMP = NLM_F_REQUEST | NLM_F_DUMP
"""Flags of the header: an acknowledged request, one that must not meet its like, one that replaces, a dump."""

FLAGS = {Verb.CREATE: CREATE, Verb.CHANGE: CHANGE, Verb.DELETE: DO}

Attributes = list[tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class Seen:
    """One object in a dump, in the model's words.

    Args:
        is_ours: it carries our mark, so that we may change it.
    """

    item: KernelObject
    is_ours: bool


Ifindexes = Callable[[str], int]
"""Resolves an interface name to its index in the namespace that a request is for; OSError where there is none."""


class Kind(Protocol):
    """What every module of one object kind offers (addresses, neighbours, next hops, routes, rules)."""

    DUMP_REQUEST: bytes

    def request(self, verb: Verb, item: Any, ifindex_of: Ifindexes) -> bytearray:
        """The message that carries out a verb on an object."""

    def read(self, namespace: str, ifnames: Mapping[int, str], part: Part) -> Seen | None:
        """An object out of a dump; None where it is the kernel's own or of no concern."""


def encode(
    message: type, kind: int, flags: int, fields: Mapping[str, int], attributes: Sequence[Any] = ()
) -> bytearray:
    """Fill in and encode one message.

    Args:
        message: a subclass of pyroute2's ``nlmsg``.
        kind: the message type (``RTM_...``).
        flags: of the netlink header.
        fields: of the fixed header; absent ones are 0.
        attributes: pairs of name and value, in the order in which they are written.
    """
    filled = message()
    for name, value in fields.items():
        filled[name] = value
    filled["attrs"] = list(attributes)
    filled["header"]["type"] = kind
    filled["header"]["flags"] = flags
    filled.encode()
    data = filled.data
    assert isinstance(data, bytearray)
    return data
