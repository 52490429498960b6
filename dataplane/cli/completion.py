"""``dataplane completion``: the script that teaches a shell our commands, options and instances."""

import click

COMPLETE_VARIABLE = "_DATAPLANE_COMPLETE"
"""The environment variable by which the shell asks; click derives the same from the command's name."""


@click.command(
    epilog="""\b
Examples:
  source <(dataplane completion bash)        in ~/.bashrc
  source <(dataplane completion zsh)         in ~/.zshrc, after compinit
  dataplane completion fish > ~/.config/fish/completions/dataplane.fish
"""
)
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    The script is for the shell to read, so there is no other form of it.
    """
    from click.shell_completion import get_completion_class

    scripts = get_completion_class(shell)
    assert scripts is not None
    click.echo(scripts(ctx.find_root().command, {}, "dataplane", COMPLETE_VARIABLE).source())
