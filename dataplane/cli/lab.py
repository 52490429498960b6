"""``dataplane lab``: networks that anyone can start by name, in simulated hosts on this machine.

Words and forms only: what a lab is and does is in the package ``lab``, imported when a command runs.
"""

import os
import time
from typing import TYPE_CHECKING

import click

from dataplane.cli.context import folders, need_root
from dataplane.cli.lab_accept import accept
from dataplane.cli.lab_export import complete_name, export
from dataplane.cli.output import Section, Table, emit, error, is_terminal, note, output_option, warn

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lab.hook import Hook
    from lab.model import FlowResult, Proof
    from lab.places import Place
    from lab.topology import Topology

DIFFERS = 3
"""The exit code where what was asked does not hold."""

_NEEDS = "makes and enters namespaces"


@click.group(
    epilog="""\b
Examples:
  dataplane lab list                         what there is
  dataplane lab test vpc-peering             bring it up, prove every flow, take it down
  dataplane lab accept standby-circuits      measure it, and hold it against its acceptance.yaml
  dataplane lab up vpc-peering               leave it up, to look round:
  dataplane lab exec ecs-1a -- ping -c 3 192.168.1.10
  dataplane lab shell vpc-1                  a shell in the router of a VPC
  dataplane lab exec host-1 -- dataplane status
  dataplane lab down vpc-peering
  dataplane lab export regions --to vagrant  the same in machines, or in containers
"""
)
def lab() -> None:
    """Try networks in simulated hosts on this machine.

    A simulated host has its own network, its own /run/netns, /run/dataplane, /var/lib/dataplane and
    /sys. A lab touches neither this machine nor a network that is applied on it.
    """


lab.add_command(accept)


def _complete_up(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    from lab import pins

    return [found.name for found in pins.labs() if found.name.startswith(incomplete)]


def _complete_node(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    if os.geteuid() != 0:
        return []
    from lab import runner
    from lab.places import places

    # With a slash the person wants the long form; without one, both the short names and the labs are of use.
    found = places(runner.status())
    words = [str(place) for place in found] if "/" in incomplete else [place.name for place in found]
    return sorted({word for word in words if word.startswith(incomplete)})


name_argument = click.argument("name", shell_complete=complete_name)
lab.add_command(export)
node_argument = click.argument("node", shell_complete=_complete_node)
hook_option = click.option(
    "--hook",
    type=click.Choice(["auto", "tc", "xdp", "off"]),
    help="Where the forwarder sits, whatever the network's file says.",
)


@lab.command(
    "list",
    epilog="""\b
Examples:
  dataplane lab list
  dataplane lab list -o json | jq -r '.topologies[].name'
""",
)
@output_option
def list_(output: str) -> None:
    """List the topologies that come with dataplane. Needs no root."""
    from lab import pins, topology

    up = {found.name for found in pins.labs()}
    rows = [(name, *topology.read_title(name), name in up) for name in topology.names_known()]
    document = {
        "topologies": [
            {"name": name, "title": title, "description": description, "is_up": is_up}
            for name, title, description, is_up in rows
        ]
    }
    table = Table(("name", "up", "title"), [(name, "up" if is_up else "-", title) for name, title, _, is_up in rows])
    emit(document, output, lambda: [table])


@lab.command(
    epilog="""\b
Examples:
  dataplane lab up vpc-peering
  dataplane lab up ./my-topology             a folder with lab.yaml and network.yaml
  dataplane lab up vpc-peering --hook xdp    with the forwarder at XDP
"""
)
@name_argument
@hook_option
@output_option
def up(name: str, hook: "Hook | None", output: str) -> None:
    """Bring a topology up; NAME is one of `dataplane lab list`, or the path of a folder.

    A lab that is up is brought in line with its files. What fails to come up is taken
    away again.
    """
    need_root("dataplane lab up", _NEEDS)
    from lab import runner, topology

    wanted = topology.load(name)
    is_new = runner.up(wanted, note, hook)
    document = {"topology": wanted.name, "hosts": list(wanted.hosts), "is_new": is_new}
    first = next(iter(wanted.inventory.nodes), wanted.hosts[0])
    said = "is up" if is_new else "was up already, and is as its files say"
    emit(document, output, lambda: [f"{wanted.name} {said}: look round with `dataplane lab shell {first}`"])


@lab.command(
    epilog="""\b
Examples:
  dataplane lab down vpc-peering
"""
)
@click.argument("name", shell_complete=_complete_up)
@output_option
def down(name: str, output: str) -> None:
    """Take a lab down, half made ones too: everything of it disappears.

    A namespace with a process in it lives as long as the process; such processes are named.
    """
    need_root("dataplane lab down", _NEEDS)
    from lab import runner

    lab_name = name.rstrip("/").rpartition("/")[2]
    inside = runner.down(lab_name)
    for process in inside or ():
        warn(f"{process} still lives inside: its namespace ends with it (kill {process.pid})")
    document = {
        "topology": lab_name,
        "was_up": inside is not None,
        "processes": [{"pid": process.pid, "command": process.command} for process in inside or ()],
    }
    emit(document, output, lambda: [f"{lab_name} is down" if inside is not None else f"{lab_name} was not up"])


@lab.command(
    epilog="""\b
Examples:
  dataplane lab status
  dataplane lab status -o yaml               with the namespaces of every host
"""
)
@output_option
@click.pass_context
def status(ctx: click.Context, output: str) -> None:
    """Show the labs that are up, their hosts, and who lives in them.

    Exits with 3 where a lab is half made. For the network in a host:
    `dataplane lab exec HOST -- dataplane status`.
    """
    need_root("dataplane lab status", "enters namespaces")
    from lab import report, runner

    labs = runner.status()

    def sections() -> "Iterable[Section]":
        if not labs:
            yield "no lab is up: start one with `dataplane lab up NAME`"
        else:
            yield Table(report.HOST_COLUMNS, report.status_rows(labs), {"up": "green", "half made": "red"})

    emit(report.status_document(labs), output, sections)
    if not all(found.is_up for found in labs):
        ctx.exit(DIFFERS)


@lab.command(
    epilog="""\b
Examples:
  dataplane lab shell ecs-1a                 in an instance
  dataplane lab shell vpc-1                  in the router of a VPC
  dataplane lab shell host-2/vpc-1           in its part on one of several hosts
  dataplane lab shell idc-router             in a node around the hosts
  dataplane lab shell vpc-peering/host-1     in the simulated host
"""
)
@node_argument
def shell(node: str) -> None:
    """Open a shell in a node: an instance, a VPC or VBR (its router), a data centre's node, a host, or a namespace."""
    need_root("dataplane lab shell", _NEEDS)
    from lab.shell import shell_command

    place = _find_place(node)
    command, variables = shell_command(str(place))
    _become(place, command, variables)


@lab.command(
    "exec",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="""\b
Examples:
  dataplane lab exec ecs-1a -- ping -c 3 192.168.1.10
  dataplane lab exec vpc-1 -- ip route show table all
  dataplane lab exec host-1 -- dataplane status
""",
)
@node_argument
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND [ARGUMENT]...")
def exec_(node: str, command: tuple[str, ...]) -> None:
    """Run a command in a node; its exit code is the exit code."""
    need_root("dataplane lab exec", _NEEDS)
    words = command[1:] if command[0] == "--" else command
    if not words:
        raise click.UsageError("which command? Write it after the node: `dataplane lab exec NODE -- CMD`")
    _become(_find_place(node), words, {})


def _find_place(node: str) -> "Place":
    from lab import runner
    from lab.places import find_place

    return find_place(node, runner.status())


def _become(place: "Place", command: "Sequence[str]", variables: dict[str, str]) -> None:
    """Replace this process by a command in a place."""
    from dataplane.cli.enter import become
    from dataplane.errors import HostError
    from lab.product import environment

    environ = environment(place.host) | variables
    os.environ.clear()
    os.environ.update(environ)
    reference = place.enter()
    if reference:
        become(reference, command)
    try:
        os.execvp(command[0], list(command))
    except OSError as failure:
        raise HostError(f"cannot run {command[0]} in {place}: {failure.strerror}") from failure


@lab.command(
    epilog="""\b
Examples:
  dataplane lab test vpc-peering
  dataplane lab test vpc-peering --here      the same network on this very machine
  dataplane lab test vpc-peering --hook off  by the kernel alone; tc and xdp: by the forwarder
  dataplane lab test overlapping -o json | jq '.flows[] | select(.passed | not)'
"""
)
@name_argument
@click.option("--here", is_flag=True, help="On this machine itself: apply, prove, destroy. Refused where a network is.")
@click.option("--flows", is_flag=True, help="Only the flows: leave out the rates and drills.")
@hook_option
@output_option
@click.pass_context
def test(ctx: click.Context, name: str, here: bool, flows: bool, hook: "Hook | None", output: str) -> None:
    """Prove every flow of a topology with real packets, both ways.

    Sniffers in all namespaces look for what must not arrive. Then come the rates and drills that the
    topology declares (not with --here). One that is not up comes up for it and goes down afterwards.
    Exits with 3 where something fails, and says where its packet was last seen.
    """
    need_root("dataplane lab test", _NEEDS)
    from lab import report, runner, topology

    wanted = topology.load(name)
    started = time.monotonic()
    on_result = _Counter(len(wanted.flows))
    if here:
        kept = folders()
        options = ("--state-dir", str(kept.state.absolute()), "--run-dir", str(kept.run.absolute()))
        proof = runner.test_here(wanted, note, options, on_result, hook)
    else:
        proof = runner.test(wanted, note, on_result, hook, only_flows=flows)
    on_result.end()
    seconds = time.monotonic() - started
    document = report.flows_document(wanted, proof, seconds)
    emit(document, output, lambda: _test_sections(wanted, proof, seconds))
    for fault in (*report.faults(proof.results), *report.check_faults(proof)):
        error(fault)
    if not proof.passed:
        ctx.exit(DIFFERS)


def _test_sections(wanted: "Topology", proof: "Proof", seconds: float) -> "Iterable[Section]":
    from lab import report

    yield report.summary(wanted, proof.results, seconds)
    yield from report.forwarder_lines(proof)
    yield ""
    yield Table(report.FLOW_COLUMNS, [report.flow_row(result) for result in proof.results])
    yield from _check_sections(proof)


def _check_sections(proof: "Proof") -> "Iterable[Section]":
    from dataplane.accept import report

    if proof.rates:
        yield ""
        yield Table(report.COLUMNS, [report.row(result) for result in proof.rates])
    if proof.drills:
        yield ""
        yield Table(report.DRILL_COLUMNS, [report.drill_row(result) for result in proof.drills])


class _Counter:
    """Says on a terminal how many flows are done; elsewhere nothing.

    Args:
        total: how many there are.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._is_shown = is_terminal()

    def __call__(self, result: "FlowResult") -> None:
        self._done += 1
        if self._is_shown:
            click.echo(f"\r{self._done} of {self._total} flows", err=True, nl=False)

    def end(self) -> None:
        """Leave an empty line for what comes."""
        if self._is_shown:
            click.echo("\r\033[K", err=True, nl=False)
