"""What the prober takes before it begins, and what it gives up for good: priority and memory, then everything.

Owns the process's own rights. Must be the last thing before the loop: afterwards nothing can be opened any more.
"""

import ctypes
import os
import resource

from dataplane.health.system import check, libc

NOBODY = 65534
_PRIORITY = 20
"""Above what nobody asked for, below the kernel's own threads (50)."""
_NICE = -20
_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_PR_SET_NO_NEW_PRIVS, _PR_CAPBSET_DROP, _PR_CAP_AMBIENT, _PR_SET_TIMERSLACK = 38, 24, 47, 29
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION = 0x20080522
_TIMER_SLACK_NS = 1
_CAPABILITIES = 64


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def take_what_is_needed() -> tuple[str, ...]:
    """Ask for priority, memory that stays and open files; each in words for people, refused ones too."""
    return _priority(), _memory(), _open_files()


def _priority() -> str:
    libc.prctl(_PR_SET_TIMERSLACK, _TIMER_SLACK_NS, 0, 0, 0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(_PRIORITY))
    except OSError as error:
        try:
            os.setpriority(os.PRIO_PROCESS, 0, _NICE)
        except OSError:
            return f"no real-time priority ({error.strerror}): probes may be late where processors are busy"
        return f"no real-time priority ({error.strerror}): nice {_NICE} instead"
    return f"real-time priority {_PRIORITY}"


def _memory() -> str:
    """Keep what is in memory there. On fault, or whole libraries that nobody uses would be read in."""
    flags = _MCL_CURRENT | _MCL_ONFAULT
    try:
        # Without this, later memory is not locked: the limit would refuse it once the privilege to exceed it is gone.
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        flags |= _MCL_FUTURE
        words = "memory locked"
    except (OSError, ValueError):
        words = "memory locked as far as it was there at the start (RLIMIT_MEMLOCK)"
    try:
        check(libc.mlockall(flags), "mlockall")
    except OSError as error:
        return f"memory is not locked ({error.strerror}): probes may be late where memory is short"
    return words


def _open_files() -> str:
    """As many as are allowed: a socket for each leg."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return f"{most} open files"


def drop_everything() -> str:
    """Give up user, groups and every capability, for good; in words.

    What was opened stays open, and that is all that the prober needs.

    Raises:
        OSError: capabilities are still there; the prober must not run like that.
    """
    for number in range(_CAPABILITIES):
        libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)  # refused without CAP_SETPCAP: then there is nothing to gain
    user = _become_nobody()
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    header, nothing = _Header(_CAPABILITY_VERSION, 0), (_Data * 2)()
    check(libc.capset(ctypes.byref(header), ctypes.byref(nothing)), "capset")
    held = capabilities()
    if held:
        raise OSError(f"capabilities are still held: {held:x}")
    return f"no capabilities, {user}"


def capabilities() -> int:
    """The permitted capabilities of this process, as bits."""
    with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123 (pathlib is most of a megabyte)
        words = next((line.split() for line in status if line.startswith("CapPrm:")), ["", "0"])
    return int(words[1], 16)


def _become_nobody() -> str:
    try:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except OSError as error:
        return f"still user {os.getuid()} ({error.strerror})"
    return "user nobody"
