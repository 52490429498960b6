"""``dataplane accept``: the acceptance test of the network that was applied here."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dataplane.cli.acceptance import LiveView, Options, accept_options, finish, kinds_of, read_file, refuse_complaints
from dataplane.cli.asking import find_agent
from dataplane.cli.context import need_root, open_session
from dataplane.cli.instances import Applied, own_namespaces
from dataplane.cli.output import emit, note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dataplane.accept.language import AcceptanceFile
    from dataplane.accept.model import Drill, Measure
    from dataplane.accept.way import End
    from dataplane.config.network import Network
    from dataplane.measure.acceptance import Cut

_FAR_END = "far-end"
"""The other end of a measure that no file describes."""


class _Address(click.ParamType[IPv4Address]):
    name = "address"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> IPv4Address:
        try:
            return IPv4Address(str(value))
        except ValueError:
            self.fail(f"{value} is not an IPv4 address", param, ctx)


@click.command(
    epilog="""\b
Examples:
  sudo dataplane accept acceptance.yaml
  sudo dataplane accept acceptance.yaml --html report.html --junit report.xml
  sudo dataplane accept --server 172.16.1.10               from all instances here to an address
  sudo dataplane accept --server 172.16.1.10 --commands    what to run at that address, and here
  sudo dataplane accept acceptance.yaml --duration 300s    as long as the sources' own test
"""
)
@click.argument("file", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--server", type=_Address(), help="The address of the far end, where you run the servers; --commands has them."
)
@click.option("--commands", is_flag=True, help="Only print the commands of each end (R124, R125, R127).")
@accept_options
@click.pass_context
def accept(ctx: click.Context, file: Path | None, server: IPv4Address | None, commands: bool, options: Options) -> None:
    """Measure the applied network, and hold it against what it can reach and what it must.

    Bandwidth, packet rate, TCP streams and requests between instances of this host and other instances or a
    data centre (R123-R131), as FILE says; without one, eight flows of each to --server. What counts is the
    receiver's interface, where it is here. Exits with 3 where a limit of the file is not reached, and with
    1 where the machine was too noisy to say.
    """
    need_root("dataplane accept", "enters network namespaces")
    if file is None and server is None:
        raise click.UsageError("what shall be measured? Name an acceptance.yaml, or the far end with --server ADDRESS.")
    applied = Applied.load()
    if applied.network is None:
        raise click.UsageError("no network is applied here: `dataplane apply` one first.")
    references = own_namespaces() | applied.attached()
    ends = _ends(applied.network, references)
    title, measures, drills = _planned(applied.network, ends, file, server, options)
    if commands:
        _print_commands(measures, options)
        return
    _run(ctx, title, measures, drills, references, _hook(applied.network), options)


def _ends(network: "Network", references: dict[str, str]) -> "dict[str, End]":
    from dataplane.accept.plan import instance_ends
    from dataplane.agent.store import Store
    from dataplane.cli.context import folders

    return instance_ends(network, Store(folders().state).load().memory.addresses(), references)


def _planned(
    network: "Network", ends: "dict[str, End]", file: Path | None, server: IPv4Address | None, options: Options
) -> "tuple[str, Sequence[Measure], Sequence[Drill]]":
    from dataplane.accept.model import Tool
    from dataplane.accept.plan import Planner
    from dataplane.measure.programs import has

    asked, places = read_file(file) if file is not None else (_default_file(network, ends, server), None)
    has_netperf = options.netperf and has(Tool.NETPERF)
    planner = Planner(network, ends, server, has_netperf, options.seconds)
    measures = planner.measures(asked, kinds_of(options))
    drills = planner.drills(asked) if not options.kinds else ()
    if places is not None:
        refuse_complaints(planner.complaints, places)
    return asked.title, measures, drills


def _default_file(network: "Network", ends: "dict[str, End]", server: IPv4Address | None) -> "AcceptanceFile":
    """Eight flows of each kind, both ways, from the instances here that have a route to the far end."""
    from dataplane.accept.language import AcceptanceFile
    from dataplane.accept.way import End, way_between

    assert server is not None  # or there would be a file
    far_end = End(_FAR_END, server, is_here=False)
    here = [id for id, end in ends.items() if end.is_here and way_between(network, end, far_end).legs]
    if not here:
        raise click.UsageError(f"no running instance on this host has a route to {server} by a connection.")
    spec = {"name": _FAR_END, "from": here, "to": _FAR_END}
    return AcceptanceFile.model_validate({"version": 1, "measures": [spec]})


def _print_commands(measures: "Sequence[Measure]", options: Options) -> None:
    from dataplane.accept.commands import printed

    lines = list(printed(measures, os.cpu_count() or 1))
    emit({"commands": lines}, options.output, lambda: lines)


def _run(
    ctx: click.Context,
    title: str,
    measures: "Sequence[Measure]",
    drills: "Sequence[Drill]",
    references: dict[str, str],
    hook: str,
    options: Options,
) -> None:
    from dataplane.measure.acceptance import Plan
    from dataplane.measure.acceptance import accept as run
    from dataplane.measure.facts import facts
    from dataplane.measure.place import opened

    if any(not flow.server.is_here for measure in measures for flow in measure.flows):
        note("the far end's servers are yours to run: `--commands` prints them")
    known = facts(measure.tool for measure in measures)
    with opened(references) as places, LiveView(len(measures) + len(drills) + 1) as view:
        found = run(Plan(title, measures, drills), places, view, _cutting(), known, hook)
    finish(ctx, [found], options)


def _hook(network: "Network") -> str:
    """Where the forwarder sits; `auto` is tc where a host can have it."""
    is_there = open_session().status().traffic is not None
    asked = network.datapath.hook
    return ("tc" if asked == "auto" else asked) if is_there else "off"


@contextmanager
def _cutting() -> "Iterator[Cut]":
    """The agent of this host, which alone can cut a leg and notice it."""
    from dataplane.agent.api.service import DrillRequest
    from dataplane.errors import DataplaneError
    from dataplane.measure.acceptance import Said

    def cut(drill: "Drill") -> "Said":
        try:
            agent = find_agent()
            if agent is None:
                return Said(why_not="a drill needs the agent, and none runs here: `sudo systemctl start dataplane`")
            found = agent.drill(DrillRequest(drill.leg, drill.seconds))
        except DataplaneError as failure:
            return Said(why_not=str(failure))
        return Said(found.outage_s, tuple(found.took_over))

    yield cut
