"""Queues of the host's cards: `ethtool -L` by ioctl, receive packet steering by sysfs (R132).

The cards are not ours. Must never touch what nobody asks for, nor the card of another namespace.
"""

import ctypes
import errno
import fcntl
import os
import socket as sockets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from dataplane.errors import PermissionDenied
from dataplane.kernel import libc
from dataplane.kernel.visits import Visits
from dataplane.kernel.wording import failure_sentence
from dataplane.model.kernel import DeviceQueues
from dataplane.plan.action import Action, Outcome, Verb

_SIOCETHTOOL = 0x8946
_GET, _SET = 0x3C, 0x3D
_READ_BYTES = 8192


class _Channels(ctypes.Structure):
    """``struct ethtool_channels``."""

    _fields_ = tuple(
        (name, ctypes.c_uint32)
        for name in ("command", "max_rx", "max_tx", "max_other", "max_combined", "rx", "tx", "other", "combined")
    )


class _Request(ctypes.Structure):
    """``struct ifreq`` with a pointer."""

    _fields_ = (("name", ctypes.c_char * 16), ("data", ctypes.c_void_p), ("rest", ctypes.c_uint8 * 16))


def read(wanted: Iterable[DeviceQueues]) -> Iterator[DeviceQueues]:
    """Cards as they are, in the words of what is wanted of them; one that cannot be asked is left out."""
    for item in wanted:
        try:
            combined = item.combined and _count(_ask(item.device, _GET))
            cpus = None if item.rps_cpus is None else _steering(item.device, item.rps_cpus)
        except OSError:
            continue
        yield DeviceQueues(item.device, combined, cpus, item.namespace)


def perform(actions: Sequence[Action], visits: Visits) -> list[Outcome]:
    """Set cards, one by one. The two settings do not depend on each other: what one refuses, the other still gets."""
    visits.go_home()
    return [_perform(action) for action in actions]


def _perform(action: Action) -> Outcome:
    item = action.object
    assert isinstance(item, DeviceQueues)
    if action.verb is Verb.DELETE:
        return Outcome(action)
    problems = []
    # In this order: a queue that comes into being steers nothing.
    for change in (_set_channels, _set_steering):
        try:
            change(item)
        except _Unable as reason:
            problems.append(str(reason))
        except OSError as error:
            if error.errno == errno.EPERM:
                raise PermissionDenied(f"setting the queues of {item.device} is not permitted; use sudo") from error
            if error.errno == errno.ENODEV:
                return Outcome(action, failure_sentence(action, f"there is no interface {item.device} here"))
            problems.append(f"{item.device}: {error.strerror}")
    return Outcome(action, failure_sentence(action, "; ".join(problems)) if problems else None)


class _Unable(Exception):
    """A card that cannot; the message says what."""


def _set_channels(item: DeviceQueues) -> None:
    if item.combined is None:
        return
    try:
        channels = _ask(item.device, _GET)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        raise _Unable(f"the driver of {item.device} has no queues to set; remove combined:") from error
    most = channels.max_combined or min(channels.max_rx, channels.max_tx)
    if item.combined > most:
        raise _Unable(f"{item.device} has at most {most} queues, and combined: asks for {item.combined}")
    if _count(channels) == item.combined:
        return
    if channels.max_combined:
        channels.combined = item.combined
    else:
        channels.rx = channels.tx = item.combined
    _ask(item.device, _SET, channels)


def _count(channels: _Channels) -> int:
    """How many queues there are; 0 where the directions differ, which is never asked for."""
    if channels.max_combined:
        return int(channels.combined)
    return int(channels.rx) if channels.rx == channels.tx else 0


def _ask(device: str, command: int, channels: _Channels | None = None) -> _Channels:
    value = channels or _Channels()
    value.command = command
    request = _Request(device.encode(), ctypes.addressof(value))
    with sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM) as there:
        fcntl.ioctl(there, _SIOCETHTOOL, request)
    return value


def _set_steering(item: DeviceQueues) -> None:
    if item.rps_cpus is None:
        return
    with _Steering(item.device) as files:
        if not files.queues:
            raise _Unable(f"{item.device} has no receive queue, or this kernel no RPS (CONFIG_RPS); remove rps_cpus:")
        files.write(item.rps_cpus)


def _steering(device: str, wanted: int) -> int:
    """The mask of all receive queues; of the first that differs, where one does. What is satisfied is as wanted."""
    with _Steering(device) as files:
        masks = files.read()
        different = next((mask for mask in masks if mask != wanted & files.possible), None)
        # Bits of processors that the machine has not: they cannot be set, and nothing is missing.
        return wanted if different is None and masks else different or 0


class _Steering:
    """The files ``rps_cpus`` of a card, in a sysfs of the namespace that the thread is in. Use it as a context manager.

    /sys shows the devices of the namespace that it was mounted in, which may be another one.
    """

    def __init__(self, device: str) -> None:
        self._device = device

    def __enter__(self) -> "_Steering":
        try:
            self._root = libc.open_filesystem("sysfs")
        except (OSError, PermissionDenied):
            self._root = os.open("/sys", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._paths = list(self._find())
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._root)

    @property
    def queues(self) -> int:
        """How many receive queues can be steered."""
        return len(self._paths)

    @property
    def possible(self) -> int:
        """The processors that this machine can have."""
        last = self._text("devices/system/cpu/possible").rpartition("-")[2]
        return (1 << int(last) + 1) - 1

    def read(self) -> list[int]:
        return [int(self._text(path).replace(",", ""), 16) for path in self._paths]

    def write(self, mask: int) -> None:
        text = _grouped(mask & self.possible)
        for path in self._paths:
            with self._open(path, os.O_WRONLY) as descriptor:
                os.write(descriptor, text.encode())

    def _find(self) -> Iterator[str]:
        folder = f"class/net/{self._device}/queues"
        try:
            with self._open(folder, os.O_RDONLY | os.O_DIRECTORY) as descriptor:
                names = sorted(entry.name for entry in os.scandir(descriptor))
        except FileNotFoundError as error:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV)) from error
        for name in names:
            path = f"{folder}/{name}/rps_cpus"
            if name.startswith("rx-") and os.access(path, os.F_OK, dir_fd=self._root):
                yield path

    def _text(self, path: str) -> str:
        with self._open(path, os.O_RDONLY) as descriptor:
            return os.read(descriptor, _READ_BYTES).decode("ascii", "replace").strip()

    @contextmanager
    def _open(self, path: str, flags: int) -> Iterator[int]:
        descriptor = os.open(path, flags | os.O_CLOEXEC, dir_fd=self._root)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _grouped(mask: int) -> str:
    """As the kernel reads it: groups of 32 bits, a comma between."""
    digits = f"{mask:x}"
    first = len(digits) % 8
    groups = [digits[:first]] if first else []
    return ",".join(groups + [digits[at : at + 8] for at in range(first, len(digits), 8)])
