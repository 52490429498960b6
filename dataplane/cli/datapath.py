"""``dataplane datapath``: what the forwarder holds, and what its program does with a packet."""

from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dataplane.cli.context import did_you_mean, folders, host_option, load, need_root, this_host
from dataplane.cli.datapath_leg import leg
from dataplane.cli.output import emit, output_option
from dataplane.cli.plan import DIFFERS

if TYPE_CHECKING:
    from dataplane.model.desired import Desired
    from dataplane.model.forwarding import Forwarding, Port

_MAX_PORT = 65_535
_MIN_PACKET_BYTES = 40
_MAX_PACKET_BYTES = 3_400
"""What the kernel takes for a test run on every kernel that we support: less than a page."""
_MAX_TTL = 255
_METERS, _FLOWS = "meters", "flows"
_KINDS = ("fib", "groups", "legs", "ports", _METERS, _FLOWS)


@click.group(
    epilog="""\b
Examples:
  dataplane datapath show ports --offline network.yaml
  sudo dataplane datapath simulate ecs-1 ecs-2 --proto tcp --dport 443
  sudo dataplane datapath leg ri-a1 down
"""
)
def datapath() -> None:
    """Look into the forwarder: what it holds, what it would do. And take legs down and up by hand."""


datapath.add_command(leg)


def _offline_option(command: Any) -> Any:
    return click.option(
        "--offline",
        "files",
        multiple=True,
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="The network of this file or folder, not the one applied here; may be repeated.",
    )(command)


def _state(command: str, files: tuple[Path, ...], host: str | None) -> "tuple[Desired, Forwarding]":
    from dataplane.agent import datapath as source

    if files:
        loaded = load(files)
        return source.offline(loaded, this_host(loaded, host))
    need_root(command, "reads the state of what was applied here")
    return source.applied(folders().state)


@datapath.command(
    epilog="""\b
Examples:
  dataplane datapath show fib --offline network.yaml
  sudo dataplane datapath show legs -o json
  sudo dataplane datapath show meters
  sudo dataplane datapath show flows -o json | jq '.flows.used'
"""
)
@click.argument("kind", metavar="|".join(_KINDS), type=click.Choice(_KINDS))
@_offline_option
@host_option
@output_option
def show(kind: str, files: tuple[Path, ...], host: str | None, output: str) -> None:
    """Show what the forwarder holds for a network, in the words of the configuration.

    It is computed from the same kernel objects that apply makes. Without --offline it is about the
    network that was applied here (which needs root). `meters` are the counters of the forwarder that
    runs here: packets and bytes by connection, and by port what became of them. `flows` is its flow
    table, there where a connection has a limit: each 5-tuple, its bytes, and whether it is held back.
    """
    from dataplane.cli import datapath_text as text

    if kind in (_METERS, _FLOWS):
        if files:
            raise click.UsageError(f"{kind} are counted on this host: leave --offline away.")
        need_root(f"dataplane datapath show {kind}", "reads what the forwarder counts")
        (_show_meters if kind == _METERS else _show_flows)(output)
        return
    desired, state = _state("dataplane datapath show", files, host)
    document = text.DOCUMENTS[kind](state, desired.verdicts)
    emit({kind: document}, output, lambda: text.show_sections(kind, document))


def _show_flows(output: str) -> None:
    from dataplane.agent.datapath import watched
    from dataplane.cli.datapath_flows import flows_document, flows_sections

    watch = watched(folders().state)
    document = flows_document(watch.network, watch.look())
    emit({_FLOWS: document}, output, lambda: flows_sections(document))


def _show_meters(output: str) -> None:
    from dataplane.agent.datapath import counted
    from dataplane.cli.datapath_meters import meters_document, meters_sections

    document = meters_document(*counted(folders().state))
    emit({_METERS: document}, output, lambda: meters_sections(document))


def _address(ctx: click.Context, parameter: click.Parameter, value: str | None) -> IPv4Address | None:
    try:
        return IPv4Address(value) if value is not None else None
    except ValueError as error:
        raise click.BadParameter(f"`{value}` is not an IPv4 address.") from error


@datapath.command(
    epilog="""\b
Examples:
  sudo dataplane datapath simulate ecs-1 ecs-2 --proto tcp --dport 443
  sudo dataplane datapath simulate ecs-1 172.16.0.9 --hook xdp --offline network.yaml
  sudo dataplane datapath simulate line/vbr-1 ecs-1 --source 172.16.0.9
"""
)
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.option("--proto", type=click.Choice(["icmp", "tcp", "udp"]), default="icmp", show_default=True, help="Protocol.")
@click.option("--sport", type=click.IntRange(0, _MAX_PORT), default=0, help="Source port, of tcp and udp.")
@click.option("--dport", type=click.IntRange(0, _MAX_PORT), default=0, help="Destination port, of tcp and udp.")
@click.option(
    "--size",
    type=click.IntRange(_MIN_PACKET_BYTES, _MAX_PACKET_BYTES),
    help="Bytes of an IP packet that nobody may fragment.",
)
@click.option("--ttl", type=click.IntRange(0, _MAX_TTL), default=64, show_default=True, help="TTL that SRC sends with.")
@click.option("--source", "spoofed", callback=_address, metavar="ADDRESS", help="The address that SRC sends from.")
@click.option("--hook", type=click.Choice(["tc", "xdp"]), default="tc", show_default=True, help="Which program runs.")
@_offline_option
@host_option
@output_option
@click.pass_context
def simulate(
    ctx: click.Context,
    /,
    source: str,
    destination: str,
    hook: Any,
    files: tuple[Path, ...],
    host: str | None,
    output: str,
    **fields: Any,
) -> None:
    """Run the forwarder's real program on a packet from SRC to DST, and say router by router what it decides.

    SRC is an instance, or a port as `show ports` names it (line/vbr-1, with --source); DST is an
    instance or an IPv4 address. The program runs in the kernel on a made packet; nothing is sent,
    and MACs that only a line's card and ARP know are made up. Exits with 3 unless it is delivered.
    """
    from dataplane.agent.datapath import simulate as run_program
    from dataplane.cli import datapath_text as text

    if fields["proto"] == "icmp" and (fields["sport"] or fields["dport"]):
        raise click.UsageError("icmp has no ports: say --proto tcp or --proto udp with --sport and --dport.")
    need_root("dataplane datapath simulate", "loads a program into the kernel")
    desired, state = _state("dataplane datapath simulate", files, host)
    port = _port(state, source)
    packet = _packet(desired, port, source, destination, fields)
    journey = run_program(state, hook, port, packet)
    document = text.journey_document(packet, journey)
    emit(document, output, lambda: text.journey_sections(journey))
    if not journey.is_delivered:
        ctx.exit(DIFFERS)


def _port(state: "Forwarding", source: str) -> "Port":
    ports = {port.name: port for port in state.ports.values()}
    found = ports.get(f"instance/{source}") or ports.get(source)
    if found is None:
        known = [*(name.removeprefix("instance/") for name in ports)]
        raise click.UsageError(f"no instance and no port {source} on this host.{did_you_mean(source, known)}")
    return found


def _packet(desired: "Desired", port: "Port", source: str, destination: str, fields: dict[str, Any]) -> Any:
    from dataplane.model.path import Packet

    own = fields["spoofed"] or desired.addresses.get(source)
    if own is None:
        raise click.UsageError(
            f"{port.name} has no address of its own: say with --source from whom it brings a packet."
        )
    target = desired.addresses.get(destination)
    if target is None:
        try:
            target = IPv4Address(destination)
        except ValueError:
            hint = did_you_mean(destination, desired.addresses)
            raise click.UsageError(f"{destination} is no instance and no IPv4 address.{hint}") from None
    return Packet(own, target, fields["proto"], fields["sport"], fields["dport"], fields["size"] or 0, fields["ttl"])
