"""The tool `nft`, and the one question that is asked without it: whether there is a table of our name, and whose.

Owns the calls. What stands in the table is decided in ``underlay.py``. All of it is about the namespace that the thread
is in, which is the host's.
"""

import errno
import functools
import json
import os
import shutil
import socket as sockets
import subprocess
from dataclasses import dataclass
from typing import Any

from dataplane.errors import HostError
from dataplane.kernel import libc
from dataplane.kernel.attributes import attributes, text
from dataplane.kernel.messages import encode
from dataplane.kernel.netlink import NLM_F_REQUEST, NetlinkError, NetlinkSocket
from dataplane.kernel.rtnetlink import nlmsg

TABLE = "dataplane"
_NETLINK_NETFILTER = 12
_NFT_MSG_GETTABLE = 10 << 8 | 1  # the subsystem nf_tables, its message 1
_NFTA_TABLE_NAME, _NFTA_TABLE_FLAGS, _NFTA_TABLE_USERDATA = 1, 2, 6
_DORMANT = 1
_HEADER_BYTES = 4
_COMMENT = 0
"""The kind of record in a table's user data that is its comment (libnftnl, ``NFTNL_UDATA_TABLE_COMMENT``)."""
_NO_SUBSYSTEM = {errno.EINVAL, errno.EOPNOTSUPP, errno.EPROTONOSUPPORT}
"""What a kernel without nf_tables says: it has no tables, either."""
_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
_TIMEOUT_S = 120


class TableMessage(nlmsg):
    """``struct nfgenmsg`` with the name of a table."""

    fields = (("family", "B"), ("version", "B"), ("resource", "!H"))
    nla_map = ((_NFTA_TABLE_NAME, "NFTA_TABLE_NAME", "asciiz"),)


@dataclass(frozen=True, slots=True)
class Head:
    """What the kernel says of a table itself.

    Args:
        is_awake: its chains are asked; a dormant table lets everything pass.
    """

    comment: str
    is_awake: bool


def head() -> Head | None:
    """The table ``ip dataplane`` of this namespace; None where there is none. Costs 0.05 ms."""
    fields = {"family": int(sockets.AF_INET)}
    request = encode(TableMessage, _NFT_MSG_GETTABLE, NLM_F_REQUEST, fields, [("NFTA_TABLE_NAME", TABLE)])
    try:
        with NetlinkSocket(_NETLINK_NETFILTER) as socket:
            part = socket.get(request)
    except NetlinkError as error:
        if error.refusal.code in _NO_SUBSYSTEM:
            return None
        raise
    except OSError as error:
        if error.errno in _NO_SUBSYSTEM:
            return None
        raise HostError(f"the tables of nftables cannot be read: {error.strerror}") from error
    if part is None:
        return None
    data, start, end = part
    found = attributes(data, start + _HEADER_BYTES, end)
    flags = int.from_bytes(found.get(_NFTA_TABLE_FLAGS, b""))
    return Head(comment_in(found.get(_NFTA_TABLE_USERDATA, b"")), is_awake=not flags & _DORMANT)


def comment_in(userdata: bytes) -> str:
    """The comment in the user data of a table or a rule: records of a kind, a length and a value."""
    offset = 0
    while offset + 2 <= len(userdata):
        kind, length = userdata[offset], userdata[offset + 1]
        if kind == _COMMENT:
            return text(userdata[offset + 2 : offset + 2 + length])
        offset += 2 + length
    return ""


def table() -> list[dict[str, Any]]:
    """All that is in the table, one record each, as `nft` prints it.

    Raises:
        HostError: the tool is missing, or says no.
    """
    return _listing("list", "table", "ip", TABLE)


def counters() -> list[dict[str, Any]]:
    """The named counters of the table, one record each, as `nft` prints them.

    Raises:
        HostError: the tool is missing, or says no.
    """
    return _listing("list", "counters", "table", "ip", TABLE)


def run(script: str) -> None:
    """Carry out commands of `nft` as one transaction: all of them or none.

    Raises:
        HostError: the tool is missing, or says no.
    """
    _call(["-f", "-"], script)


def _listing(*words: str) -> list[dict[str, Any]]:
    printed = json.loads(_call(["-j", *words], ""))
    records: list[dict[str, Any]] = printed["nftables"]
    return records


def _call(words: list[str], given: str) -> str:
    """One call of the tool, with text on its standard input.

    It does not outlive us: what it still did would be in the way of the next run, which the lock does not hold up.
    """
    path = shutil.which("nft", path=_PATH)
    if path is None:
        raise HostError("the tool nft is missing, which filters VXLAN packets; install the package nftables")
    try:
        done = subprocess.run(
            [path, *words],
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_S,
            preexec_fn=functools.partial(libc.die_with, os.getpid()),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostError(f"the tool nft does not work ({error}); look at the package nftables") from error
    if done.returncode != 0:
        said = next((line.strip() for line in done.stderr.splitlines() if line.strip()), "it says nothing about it")
        raise HostError(f"nft refuses: {said}")
    return done.stdout
