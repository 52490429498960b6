"""Who is at the other end of a unix socket, as the kernel says, and what the group ``dataplane`` allows."""

import grp
import select
import socket
import struct
from pathlib import Path

from dataplane.agent.api.service import Peer

GROUP = "dataplane"
"""Its members may read; only root may change anything."""

_CREDENTIALS = struct.Struct("iII")
_SO_PEERGROUPS = 59
_MOST_GROUPS = 256
"""What Python's getsockopt has room for; who is in more groups needs this one as its first."""

_COMMAND_BYTES = 200


def group_id(name: str = GROUP) -> int | None:
    """The number of a group; None where this host has none of that name."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def peer_of(connection: socket.socket, group: int | None) -> Peer:
    """Who has connected.

    Args:
        group: whose members may read; None: only root may.
    """
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(raw)
    may_read = uid == 0 or (group is not None and (gid == group or group in _groups(connection)))
    return Peer(pid, uid, gid, may_read, _command(pid), lambda: _is_there(connection))


def _is_there(connection: socket.socket) -> bool:
    """Whether the other end is open: one that has only finished speaking still listens (POLLRDHUP is not asked for)."""
    hung_up = select.poll()
    try:
        hung_up.register(connection, 0)
    except (OSError, ValueError):  # we have closed it ourselves
        return False
    return not hung_up.poll(0)


def _groups(connection: socket.socket) -> tuple[int, ...]:
    """The supplementary groups that it had when it connected; SO_PEERCRED has only the first one."""
    try:
        raw = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * _MOST_GROUPS)
    except OSError:
        return ()
    return struct.unpack(f"{len(raw) // 4}I", raw)


def _command(pid: int) -> str:
    """What it calls itself: for the log only, since anybody can write anything there."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()[:_COMMAND_BYTES]
    except OSError:
        return ""
    text = words.replace(b"\0", b" ").decode(errors="replace").strip()
    return "".join(character if character.isprintable() else "?" for character in text)
