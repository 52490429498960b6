"""The kernel driver: what others call. Observation and the performing of actions, nothing between them.

All side effects on the slow path happen behind this class. No policy: what to do comes in as actions.
"""

from collections.abc import Iterable, Mapping, Sequence

from dataplane.datapath import ability, flows, forwarder
from dataplane.datapath.flow_table import TableBytes
from dataplane.datapath.limiter import LimitCount
from dataplane.datapath.vlan import adopted
from dataplane.kernel import features, libc, netns, observe, perform, perform_underlay
from dataplane.kernel.job import links_here
from dataplane.kernel.netlink import NetlinkSocket
from dataplane.kernel.ownership import is_our_ifindex
from dataplane.model import names
from dataplane.model.flow import FlowTable
from dataplane.model.host import HostFacts
from dataplane.model.kernel import KernelObject
from dataplane.model.observation import Observation
from dataplane.model.simulation import Count
from dataplane.model.traffic import Throttled, Traffic
from dataplane.plan.action import Action, Outcome


class KernelDriver:
    """The kernel of this host, seen from the namespace that the process runs in. For one thread."""

    def __init__(self) -> None:
        self._has_limits = False

    def observe(self, desired: Iterable[KernelObject] = ()) -> Observation:
        """The live state of the host, as far as it is ours or in our way.

        Args:
            desired: says which sysctls to read, and into which namespaces of others to look.

        Raises:
            PermissionDenied: CAP_NET_ADMIN or CAP_SYS_ADMIN is missing.
            HostError: the kernel does not answer, or lacks a whole kind of object.
        """
        libc.require_privileges()
        return observe.observe(desired)

    def perform(self, actions: Sequence[Action]) -> list[Outcome]:
        """Carry out one stage. A failed action does not stop the others.

        Returns:
            One outcome per action, in the order of the actions.

        Raises:
            PermissionDenied: CAP_NET_ADMIN or CAP_SYS_ADMIN is missing; nothing was done.
        """
        if not actions:
            return []
        libc.require_privileges()
        return perform.perform(actions)

    def facts(self, *, has_lines: bool = True, has_forwarder: bool = True, has_limits: bool = True) -> HostFacts:
        """What this host can do, as far as it decides how things are built.

        Args:
            has_lines: whether it matters how VLAN links are made; asking has its price.
            has_forwarder: whether it matters that there can be a forwarder.
            has_limits: whether connections are to be held to limits.
        """
        return HostFacts(
            has_8021q=features.has_8021q() if has_lines else True,
            devices=_devices() if has_lines and has_forwarder else {},
            forwarder_lacks=ability.forwarder_lacks() if has_forwarder else "",
            limits_lack=self._limits_lack() if has_limits else "",
        )

    def _limits_lack(self) -> str:
        """What the kernel has it keeps; what it lacks may come with a module."""
        if not self._has_limits:
            lacking = features.limits_lack()
            self._has_limits = not lacking
            return lacking
        return ""

    def line_drops(self) -> Mapping[str, int]:
        """Frames that the VLAN stand-in has dropped since it was loaded, by reason; only those with any.

        A kernel's own 8021q counts on the devices instead (``ip -s -s link``).
        """
        with adopted() as program:
            counted = program.counters() if program is not None else {}
        return {reason.words: counted[reason] for reason in counted if reason.is_drop and counted[reason]}

    def traffic(self) -> Traffic:
        """What the forwarder has counted since its maps were made; nothing where it is not loaded."""
        with forwarder.adopted() as present:
            if present is None:
                return Traffic()
            throttled = {leg: _throttled(count) for leg, count in present.limit_counters().items()}
            return Traffic(present.counters(), present.leg_counters(), throttled)

    def flows(self) -> FlowTable | None:
        """The forwarder's flow table; None where it has none, since nothing has a limit."""
        with flows.opened() as present:
            return TableBytes(present.snapshot(), present.now_ns()) if present is not None else None

    def underlay_drops(self) -> Mapping[str, int]:
        """VXLAN packets that the underlay filter has dropped since it was made, by reason; only those with any.

        Raises:
            HostError: there is a filter, and the tool nft is missing.
        """
        return perform_underlay.drops()

    def residents(self, namespaces: Iterable[str]) -> Mapping[str, Sequence[tuple[int, str]]]:
        """Namespace -> the processes (id, command) that live in it; only those with any."""
        return netns.residents(namespaces)

    def nameless(self, marks: Iterable[str]) -> Mapping[str, Sequence[tuple[int, str]]]:
        """Mark -> the processes in a namespace that carries it; for marks whose namespace has lost its name."""
        return netns.nameless(marks)


def _throttled(count: LimitCount) -> Throttled:
    return Throttled(
        Count(count.delayed_packets, count.delayed_bytes),
        Count(count.dropped_packets, count.dropped_bytes),
        count.overflow_packets,
        count.shared_packets,
    )


def _devices() -> dict[str, tuple[str, int]]:
    """The devices of the namespace that the process is in, but for those of ours."""
    with NetlinkSocket() as socket:
        links = links_here(names.HOST, socket).values()
    return {link.ifname: (link.mac, link.mtu) for link in links if link.mac and not is_our_ifindex(link.ifindex)}
