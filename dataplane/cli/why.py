"""``dataplane why``: what becomes of a packet and of its answer, router by router, and what to change."""

from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dataplane.cli.context import folders, host_option, load, need_root, this_host
from dataplane.cli.instances import own_namespaces
from dataplane.cli.output import emit, output_option
from dataplane.cli.plan import DIFFERS

if TYPE_CHECKING:
    from dataplane.observe.why.explain import Explanation, Question

_MAX_PORT = 65_535
_MAX_PACKET_BYTES = 65_535
_MAX_TTL = 255


def _complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in sorted(own_namespaces()) if name.startswith(incomplete)]


def _address(ctx: click.Context, parameter: click.Parameter, value: str | None) -> IPv4Address | None:
    try:
        return IPv4Address(value) if value is not None else None
    except ValueError as error:
        raise click.BadParameter(f"`{value}` is not an IPv4 address.") from error


@click.command(
    epilog="""\b
Examples:
  dataplane why ecs-1 ecs-2
  dataplane why ecs-1 192.168.1.10 --proto tcp --dport 443
  dataplane why 172.16.5.5 ecs-1               from a host of the data centre
  dataplane why ecs-1 ecs-2 --size 1500        with the DF bit: does it fit everywhere?
  dataplane why ecs-1 ecs-2 --source 10.9.9.9  what anti-spoofing says
  dataplane why ecs-1 ecs-2 --offline network.yaml
"""
)
@click.argument("source", metavar="SRC", shell_complete=_complete)
@click.argument("destination", metavar="DST", shell_complete=_complete)
@click.option("--proto", type=click.Choice(["icmp", "tcp", "udp"]), default="icmp", show_default=True, help="Protocol.")
@click.option("--sport", type=click.IntRange(0, _MAX_PORT), default=0, help="Source port, of tcp and udp.")
@click.option("--dport", type=click.IntRange(0, _MAX_PORT), default=0, help="Destination port, of tcp and udp.")
@click.option(
    "--size",
    type=click.IntRange(0, _MAX_PACKET_BYTES),
    default=0,
    help="Bytes of an IP packet that nobody may fragment.",
)
@click.option("--ttl", type=click.IntRange(1, _MAX_TTL), default=64, show_default=True, help="TTL that SRC sends with.")
@click.option("--source", "spoofed", callback=_address, metavar="ADDRESS", help="The address that SRC sends from.")
@click.option(
    "--offline",
    "files",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Explain from this file or folder alone; may be repeated. Needs no root.",
)
@host_option
@output_option
@click.pass_context
def why(
    ctx: click.Context,
    /,
    source: str,
    destination: str,
    files: tuple[Path, ...],
    host: str | None,
    output: str,
    **packet: Any,
) -> None:
    """Say what becomes of a packet from SRC to DST and of its answer, and what to change.

    SRC and DST are ids of instances or IPv4 addresses, also of a data centre behind a VBR. Each
    router is shown with the port that the packet comes in by, the route table and the route that
    decide, and the line of the file that asked for it: from the configuration that was applied
    last, and from the live kernel; of other hosts, from the configuration alone. Exits with 3 unless
    both ways are delivered by both.
    """
    from dataplane.cli.why_text import explanation_document, explanation_sections

    found = _explain(_question(source, destination, packet), files, host)
    emit(explanation_document(found), output, lambda: explanation_sections(found))
    if not found.is_good:
        ctx.exit(DIFFERS)


def _question(source: str, destination: str, packet: dict[str, Any]) -> "Question":
    from dataplane.observe.why.explain import Question

    if packet["proto"] == "icmp" and (packet["sport"] or packet["dport"]):
        raise click.UsageError("icmp has no ports: say --proto tcp or --proto udp with --sport and --dport.")
    return Question(
        source,
        destination,
        packet["proto"],
        packet["sport"],
        packet["dport"],
        packet["size"],
        packet["ttl"],
        packet["spoofed"],
    )


def _explain(question: "Question", files: tuple[Path, ...], host: str | None) -> "Explanation":
    from dataplane.agent.why import explain_live, explain_offline

    if files:
        loaded = load(files)
        return explain_offline(loaded, question, this_host(loaded, host))
    need_root("dataplane why", "asks the kernel in every namespace on the way")
    return explain_live(folders().state, question)
