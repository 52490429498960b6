"""``dataplane confirm``: keep what ``dataplane apply --confirm`` made."""

import click

from dataplane.cli.asking import changing, need_agent
from dataplane.cli.context import need_root
from dataplane.cli.output import emit, note, output_option


@click.command(
    epilog="""\b
Examples:
  sudo dataplane apply --confirm 60s network.yaml && sudo dataplane confirm
  sudo dataplane confirm -o json
"""
)
@output_option
def confirm(output: str) -> None:
    """Keep what `dataplane apply --confirm` made, which would go back by itself.

    Run it once you have seen that you still reach what you need to. Exits with 1 where nothing waits
    for it, and with 5 where no agent runs.
    """
    need_root("dataplane confirm", "decides about the kernel's network")
    agent = need_agent("dataplane confirm")
    with changing("dataplane events"):
        said = agent.confirm()
    emit({"is_confirmed": True, "text": said.text, "notes": list(said.notes)}, output, lambda: [said.text])
    for text in said.notes:
        note(f"note: {text}")
