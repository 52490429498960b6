"""``dataplane capture``: the packets at a port, a connection or an instance, as text or as a pcapng file."""

import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

import click

from dataplane.cli.capture_sink import open_sink
from dataplane.cli.context import did_you_mean, need_root
from dataplane.cli.instances import NETNS_DIRECTORY, Applied, own_namespaces
from dataplane.cli.output import count as counted
from dataplane.cli.output import note, warn
from dataplane.errors import ConfigError, HostError
from dataplane.model import names

if TYPE_CHECKING:
    from dataplane.cli.capture_sink import Sink
    from dataplane.kernel.capture import Capture, Heard, MarkedLinks
    from dataplane.model.simulation import Hook
    from dataplane.observe.capture import Frame, Line, Point, Port, UnknownTarget
    from dataplane.observe.socket_filter import Wanted

_MAX_PORT = 65_535
_MAX_PROTOCOL = 255


def _host(ctx: click.Context, parameter: click.Parameter, value: str | None) -> IPv4Network | None:
    """An IPv4 address or prefix."""
    try:
        return None if value is None else IPv4Network(value)
    except ValueError as error:
        raise click.BadParameter(f"{value} is no IPv4 address or prefix ({error}).", ctx, parameter) from error


def _protocol(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | int | None:
    """``arp``, a known IP protocol, or a number."""
    from dataplane.observe.socket_filter import ARP, PROTOCOLS

    if value is None:
        return None
    if value.isascii() and value.isdigit() and int(value) <= _MAX_PROTOCOL:
        return int(value)
    known = (ARP, *PROTOCOLS)
    if value.lower() in known:
        return value.lower()
    message = f"{value} is no protocol; use {', '.join(known)} or a number up to {_MAX_PROTOCOL}."
    raise click.BadParameter(message, ctx, parameter)


def _duration(ctx: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """A duration in the configuration's own form; in seconds."""
    if value is None:
        return None
    from pydantic_core import PydanticCustomError

    from dataplane.config.values import parse_duration_ms

    try:
        milliseconds = parse_duration_ms(value)
    except PydanticCustomError:
        milliseconds = 0
    if not milliseconds:
        message = f"{value} is no duration; write a number with ms, s or m, such as 10s."
        raise click.BadParameter(message, ctx, parameter)
    return milliseconds / 1000


def _complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Instances and VBRs, by the names of namespaces: asking the kernel for ports would take too long."""
    prefix = names.vbr_namespace("")
    entries = NETNS_DIRECTORY.iterdir() if NETNS_DIRECTORY.is_dir() else ()
    vbrs = [entry.name.removeprefix(prefix) for entry in entries if entry.name.startswith(prefix)]
    return sorted(name for name in (*own_namespaces(), *vbrs) if name.startswith(incomplete))


_PAST_THE_TAPS = {
    "tc": "the forwarder sits here: what it hands on shows as `in` at the next place, and not as `out` here; "
    "at an instance, `dataplane exec` into it and listen there",
    "xdp": "the forwarder sits here in the driver: what it takes shows nowhere but in the instance that it goes to; "
    "with `datapath: {hook: tc}` it shows at each router",
}
"""What passes taps by, by hook (datapath.md, section 3)."""


@click.command(
    epilog="""\b
Examples:
  dataplane capture ecs-1
  dataplane capture pcx-1 --host 192.168.1.10 --proto tcp --port 443
  dataplane capture ecs-1 pcx-1 ecs-2 --proto icmp      follow a packet from hop to hop
  dataplane capture vbr-1 --duration 10s --write line.pcapng
  dataplane capture dpr9 --write - | tshark -r -
"""
)
@click.argument("targets", nargs=-1, required=True, metavar="PORT|CONNECTION|INSTANCE...", shell_complete=_complete)
@click.option("--write", metavar="FILE|-", help="Write pcapng to a file or to stdout, instead of text.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after so many packets.")
@click.option("--duration", callback=_duration, metavar="TIME", help="End after this time: 500ms, 10s, 2m.")
@click.option(
    "--host", callback=_host, metavar="ADDRESS[/MASK]", help="Only packets (and ARP) from or to this address or prefix."
)
@click.option("--proto", callback=_protocol, metavar="PROTOCOL", help="Only arp, icmp, tcp, udp, or a number.")
@click.option("--port", type=click.IntRange(1, _MAX_PORT), metavar="N", help="Only from or to this TCP or UDP port.")
def capture(
    targets: tuple[str, ...],
    write: str | None,
    count: int | None,
    duration: float | None,
    host: IPv4Network | None,
    proto: str | int | None,
    port: int | None,
) -> None:
    """Show the packets at a port, a connection or an instance, in the words of the configuration.

    An instance is heard at its router's port, a peering connection at both of its ends, a VBR on its line, where
    the VLAN tag is; a port is an interface name such as dpi7. What has its other end on another host is heard at the
    tunnel that leads there: of a connection, and of a VPC that spans hosts, by the VPC's name. Where several things
    are called alike, write instance/NAME, peering_connection/NAME, vbr/NAME, vpc/NAME or port/NAME.

    `in` and `out` are the router's: what it receives, and what it sends. The length counts from the IP header on, as
    an MTU does. The filters run in the kernel; --port does not see later fragments, which have no ports. Control-C
    ends it.
    """
    need_root("dataplane capture", "listens on network interfaces")
    from dataplane.observe.socket_filter import Wanted

    if port is not None and proto not in (None, "tcp", "udp", 6, 17, 132):
        raise click.UsageError(f"{proto} has no ports; leave --port or --proto out.")
    points = _points(targets)
    with ExitStack() as stack:
        listening = stack.enter_context(_listening(points, Wanted(host, proto, port)))
        sink = stack.enter_context(open_sink(write, points))
        for point in points:
            note(f"capturing at {point.description}")
        for hook in sorted(_forwarders(points)):
            note(f"note: {_PAST_THE_TAPS[hook]}")
        captured = _run(listening, sink, count, duration)
        _sum_up(listening, sink, points, captured)


def _forwarders(points: "Sequence[Point]") -> "set[Hook]":
    """The hooks of the forwarder at these places; their packets do not show as those of the kernel do."""
    from dataplane.kernel.program import hooks_at

    return hooks_at((point.namespace, point.ifname) for point in points)


def _points(targets: Sequence[str]) -> "list[Point]":
    """Where the user's words mean, each place once.

    Raises:
        HostError: nothing live is meant by a word; says what is near.
    """
    from dataplane.kernel.capture import read_links
    from dataplane.observe.capture import UnknownTarget, find_points

    links = read_links()
    ports, devices = _ports(links), [link.ifname for seen in links if not seen.mark for link in seen.links]
    applied = _Applied.load()
    points: list[Point] = []
    for target in targets:
        try:
            points += find_points(target, ports, applied.lines, devices)
        except UnknownTarget as unknown:
            raise HostError(applied.explain(target, unknown)) from unknown
    return list(dict.fromkeys(points))


def _ports(links: "Sequence[MarkedLinks]") -> "list[Port]":
    """The live links that carry our mark, and whose router they are at."""
    from dataplane.observe.capture import Port

    ports = []
    for seen in links:
        router = names.parse_mark(seen.mark) if names.is_router_mark(seen.mark) else None
        for link in seen.links:
            mark = names.parse_mark(link.alias)
            if mark is not None and link.kind:
                ports.append(Port(seen.namespace, link.ifname, mark, router))
    return ports


@dataclass(frozen=True, slots=True)
class _Applied:
    """What the applied configuration adds to the live marks.

    Args:
        lines: VBR id -> its wire, of those whose lines come in at this host.
        declared: the ids of all that could be asked for, live or not.
        network: says on which host what is.
    """

    lines: "Mapping[str, Line]"
    declared: frozenset[str]
    network: Applied

    @classmethod
    def load(cls) -> "_Applied":
        """Nothing where nothing was applied, or where its files cannot be read any more: the marks still hold."""
        from dataplane.observe.capture import Line

        try:
            applied = Applied.load()
        except ConfigError:
            warn("the applied files cannot be read any more; a VBR is heard at its router, without VLAN tags")
            return cls({}, frozenset(), Applied())
        network = applied.network
        if network is None:
            return cls({}, frozenset(), applied)
        lines = {
            vbr_id: Line(network.physical_connections[vbr.physical_connection].device, vbr.vlan)
            for vbr_id, vbr in network.vbrs.items()
            if applied.here in applied.hosts_of("vbr", vbr_id)
        }
        instances = (instance for vpc in network.vpcs.values() for instance in vpc.instances)
        return cls(lines, frozenset((*lines, *network.peering_connections, *instances)), applied)

    def explain(self, target: str, unknown: "UnknownTarget") -> str:
        """The sentence about a word that means nothing live."""
        if not unknown.is_absent:
            return str(unknown)
        elsewhere = self._elsewhere(target)
        if elsewhere:
            return elsewhere
        if target.rpartition("/")[2] in self.declared:
            return f"{target} has no link on this host now; `dataplane status` says why, `dataplane apply` may mend it."
        if not unknown.known:
            return f"there is nothing to capture at {target}: nothing is applied on this host."
        near = did_you_mean(target, unknown.known)
        return f"{unknown}{near} `dataplane status` lists instances, connections and VBRs, with their ports."

    def _elsewhere(self, target: str) -> str:
        """The sentence about a word that means something on another host."""
        from dataplane.observe.capture import KINDS

        kind, slash, name = target.partition("/")
        kinds = (kind,) if slash else KINDS
        sentences = (self.network.elsewhere(one, name if slash else target) for one in kinds)
        return next((sentence for sentence in sentences if sentence), "")


def _listening(points: "Sequence[Point]", wanted: "Wanted") -> "Capture":
    """The capture of these places, each with its own filter."""
    from dataplane.kernel.capture import Capture, Tap
    from dataplane.observe.socket_filter import compile_filter, encode

    return Capture(
        [
            Tap(point.namespace, point.ifname, encode(compile_filter(replace(wanted, vlan=point.vlan))))
            for point in points
        ]
    )


def _run(listening: "Capture", sink: "Sink", count: int | None, duration: float | None) -> int:
    """Hand on what is heard until it is over.

    Returns:
        How many packets were handed on.
    """
    captured = 0
    with _stopped_by_signals(listening):
        for batch in listening.frames(duration):
            chosen = batch if count is None else batch[: count - captured]
            sink.take([_frame(heard) for heard in chosen])
            captured += len(chosen)
            if captured == count:
                break
    return captured


@contextmanager
def _stopped_by_signals(listening: "Capture") -> Iterator[None]:
    """Control-C and a polite kill end the listening; what was heard is still written, and summed up.

    A second control-C ends everything: the reader of a pipe may have stopped reading for good.
    """

    def stop(number: int, frame: object) -> None:
        del frame
        listening.stop()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _frame(heard: "Heard") -> "Frame":
    """What the kernel package heard, in the words of the observers."""
    from dataplane.observe.capture import Direction, Frame

    direction = Direction.OUT if heard.is_outgoing else Direction.IN
    return Frame(heard.tap, heard.time_ns, heard.data, heard.length, direction, heard.tag, heard.is_checksum_pending)


def _sum_up(listening: "Capture", sink: "Sink", points: "Sequence[Point]", captured: int) -> None:
    """Say on stderr what was heard and what was lost."""
    counts = listening.counted()
    sink.finish(counts)
    for number in listening.lost:
        warn(f"{points[number].ifname} went away while it was listened at")
    received, dropped = sum(count.received for count in counts), sum(count.dropped for count in counts)
    kernel = f"{received:,} passed the filter, {dropped:,} dropped by the kernel"
    note(f"{counted(captured, 'packet')} captured, {kernel}")
    if dropped:
        warn("packets came faster than they could be shown: narrow it with --host, --proto or --port, or --write them")
