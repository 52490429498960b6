"""``dataplane exec``: a command inside an instance of the applied network."""

import os

import click

from dataplane.cli.context import need_root
from dataplane.cli.instances import instance_namespace, own_namespaces


def _complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in sorted(own_namespaces()) if name.startswith(incomplete)]


@click.command(
    "exec",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="""\b
Examples:
  dataplane exec ecs-1 -- ping -c 3 192.168.2.10
  dataplane exec ecs-1 -- ip route
  dataplane exec ecs-1                       a shell
""",
)
@click.argument("instance", shell_complete=_complete)
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND [ARGUMENT]...]")
def exec_(instance: str, command: tuple[str, ...]) -> None:
    """Run a command inside an instance, or a shell where none is named.

    The command has the instance's network and everything else of this host. Its exit code is
    the exit code.
    """
    need_root("dataplane exec", "enters a network namespace")
    from dataplane.cli.enter import become

    # What follows the instance is left as it is, the dashes that set it apart included.
    words = command[1:] if command[:1] == ("--",) else command
    become(instance_namespace(instance), words or (_shell(),))


def _shell() -> str:
    return os.environ.get("SHELL") or "/bin/sh"
