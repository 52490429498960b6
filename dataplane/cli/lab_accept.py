"""``dataplane lab accept``: the acceptance test of a topology, in its lab."""

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from dataplane.cli.acceptance import LiveView, Options, accept_options, finish, kinds_of, read_file, refuse_complaints
from dataplane.cli.context import need_root
from dataplane.cli.output import note

if TYPE_CHECKING:
    from dataplane.accept.model import Acceptance
    from lab.acceptance import Run
    from lab.hook import Hook
    from lab.topology import Topology


@click.command(
    epilog="""\b
Examples:
  sudo dataplane lab accept standby-circuits
  sudo dataplane lab accept standby-circuits --html report.html --junit report.xml
  sudo dataplane lab accept standby-circuits --compare       beside it: the kernel alone
  sudo dataplane lab accept standby-circuits --duration 300s --only bandwidth
"""
)
@click.argument("name")
@click.option(
    "--hook",
    type=click.Choice(["auto", "tc", "xdp", "off"]),
    help="Where the forwarder sits, whatever the network's file says.",
)
@click.option("--compare", is_flag=True, help="Then once more with hook: off, which is the kernel alone; side by side.")
@accept_options
@click.pass_context
def accept(ctx: click.Context, name: str, hook: "Hook | None", compare: bool, options: Options) -> None:
    """Measure a topology as its acceptance.yaml says, and hold it against that.

    Bandwidth, packet rate, TCP streams and requests (R123-R131), each figure beside its ceiling and why;
    then the drills, with the outage that they cost. A topology that is not up comes up for it and
    goes down afterwards. Exits with 3 where something is not reached, and with 1 where the machine was
    too noisy to say.
    """
    need_root("dataplane lab accept", "makes and enters namespaces")
    from lab import runner, topology

    wanted = topology.load(name)
    planned = _plan(wanted, options, hook)
    is_new = runner.up(wanted, note, hook)
    try:
        runs = [_run(planned)]
        if compare:
            runner.up(wanted, note, "off")
            runs.append(_run(replace(planned, hook="off", drills=())))
    finally:
        if is_new:
            runner.down(wanted.name)
        elif compare:  # whoever had it up finds it as it was, also where this was interrupted
            runner.up(wanted, note, hook)
    finish(ctx, runs, options)


def _plan(wanted: "Topology", options: Options, hook: "Hook | None") -> "Run":
    from dataplane.accept.model import Tool
    from dataplane.accept.plan import Planner
    from dataplane.config.loader import load
    from dataplane.measure.programs import has
    from lab.acceptance import Run, acceptance_file
    from lab.checks import ends_of
    from lab.runner import hosts_of

    file, places = read_file(acceptance_file(wanted))
    network = load([wanted.network]).network
    has_netperf = options.netperf and has(Tool.NETPERF)
    planner = Planner(network, ends_of(wanted.inventory), None, has_netperf, options.seconds)
    measures, drills = planner.measures(file, kinds_of(options)), planner.drills(file)
    refuse_complaints(planner.complaints, places)
    return Run(wanted, hosts_of(wanted), file.title, measures, drills if not options.kinds else (), hook)


def _run(planned: "Run") -> "Acceptance":
    from dataplane.measure.facts import facts
    from lab.acceptance import run

    known = facts(measure.tool for measure in planned.measures)
    with LiveView(len(planned.measures) + len(planned.drills) + 1) as view:
        return run(planned, view, known)
