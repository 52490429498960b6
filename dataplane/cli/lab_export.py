"""``dataplane lab export``: a topology for containerlab or Vagrant."""

from pathlib import Path

import click

from dataplane.cli.output import note

_TARGETS = ("containerlab", "vagrant")
_MARK = "# Written by `dataplane lab export "
"""What a file of ours begins with."""


def complete_name(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The names of topologies, for a shell."""
    import lab as package

    known = Path(package.__file__).parent.glob("topologies/*/lab.yaml")
    return sorted(path.parent.name for path in known if path.parent.name.startswith(incomplete))


@click.command(
    epilog="""\b
Examples:
  dataplane lab export regions --to vagrant --out .                a Vagrantfile: machines
  dataplane lab export three-hosts --to containerlab --out lab3    lab3/clab.yml: containers
  dataplane lab export ./my-topology --to containerlab             to look at, as if for this folder
"""
)
@click.argument("name", shell_complete=complete_name)
@click.option("--to", "target", required=True, type=click.Choice(_TARGETS), help="Whose words.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write clab.yml or Vagrantfile into this folder, instead of to stdout.",
)
def export(name: str, target: str, out: Path | None) -> None:
    """Write a topology for containerlab or Vagrant; NAME is as of `dataplane lab up`. Needs no root.

    Hosts run the agent with the same network file, which is named by its path and not copied; nodes
    around them get the addresses and routes that lab.yaml gives them. A file that somebody else
    wrote is not overwritten.
    """
    from dataplane.errors import ConflictError, HostError
    from lab import topology
    from lab.export import containerlab, vagrant

    write, file = {
        "containerlab": (containerlab.clab_text, containerlab.FILE),
        "vagrant": (vagrant.vagrant_text, vagrant.FILE),
    }[target]
    wanted = topology.load(name)
    folder = (out if out is not None else Path()).resolve()
    text = write(wanted, folder)
    if out is None:
        click.echo(text, nl=False)
        return
    path = folder / file
    try:
        if path.exists() and not path.read_text().startswith(_MARK):
            raise ConflictError(f"{path} was not written by this command: move it, or choose another --out")
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except OSError as failure:
        raise HostError(f"{path} cannot be written: {failure.strerror}") from failure
    note(f"wrote {path}")
