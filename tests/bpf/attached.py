"""The forwarder under every port of an applied network, for as long as a test lasts: links that nobody pins."""

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from dataplane.datapath import forwarding_maps as maps
from dataplane.datapath import libbpf, loader, simulate
from dataplane.kernel import netns
from dataplane.model.forwarding import Forwarding, Port, Reason
from dataplane.model.simulation import Hook

_ATTACH = {"tc": 46, "xdp": 37}
"""BPF_TCX_INGRESS (6.6) and BPF_XDP."""
_U32 = struct.Struct("=I")


@dataclass(frozen=True)
class Attached:
    """The maps of the running program."""

    state: Forwarding
    fds: dict[str, int]

    def port(self, name: str) -> Port:
        return next(port for port in self.state.ports.values() if port.name == name)

    def counters(self, name: str) -> dict[Reason, int]:
        """Frames by reason at a port."""
        size, counted = 16 * libbpf.possible_cpus(), {}
        for reason in Reason:
            key = _U32.pack(maps.reason_index(self.port(name).id, reason))
            counted[reason] = sum(memoryview(libbpf.lookup(self.fds["dp_reason"], key, size) or b"").cast("Q")[::2])
        return {reason: count for reason, count in counted.items() if count}

    def lose_device(self, name: str) -> None:
        """As if a port's device had gone from the map."""
        libbpf.delete(self.fds["dp_tx"], _U32.pack(self.port(name).id))


@contextmanager
def attached(state: Forwarding, hook: Hook) -> Iterator[Attached]:
    """The program with a state, at a hook of every port.

    Raises:
        OSError: EINVAL where the kernel has no tcx.
    """
    sizes = maps.Sizes.of(state)
    with ExitStack() as stack:
        fds = stack.enter_context(loader.tried(maps.spec(sizes)))
        simulate.fill(fds, state, sizes)
        for port in state.ports.values():
            with netns.entered(port.namespace):  # both look the device up in the caller's namespace
                libbpf.update(fds["dp_tx"], _U32.pack(port.id), _U32.pack(port.ifindex))
                stack.callback(os.close, _link(fds[maps.TC if hook == "tc" else maps.XDP], port.ifindex, _ATTACH[hook]))
        yield Attached(state, fds)


def _link(program: int, ifindex: int, kind: int) -> int:
    link = libbpf.library().bpf_link_create(program, ifindex, kind, None)
    if link < 0:
        raise OSError(-link if link < -1 else ctypes.get_errno(), f"attaching to {ifindex}")
    return int(link)
