"""``dataplane health``: every leg as its probes see it."""

from datetime import UTC, datetime

import click

from dataplane.cli.asking import need_agent
from dataplane.cli.output import emit, output_option
from dataplane.cli.plan import DIFFERS


@click.command(
    epilog="""\b
Examples:
  dataplane health
  dataplane health || echo "a leg is down, or nobody probes it"
  dataplane health -o json | jq '.legs[] | select(.is_up | not) | .leg'
"""
)
@output_option
@click.pass_context
def health(ctx: click.Context, output: str) -> None:
    """Show each leg: its state, since when, loss, round trips, flips, and why.

    A leg is a router interface with a health check (D1-D3). Loss and round trips are those of the last
    probes: half of them came back within the median, all but one in a hundred within 99 %. Exits with 3
    where a leg is down or is not probed, and with 5 where no agent runs. Members of the group
    dataplane need no root.
    """
    found = need_agent("dataplane health").health()
    # Late: its table is for those who get an answer.
    from dataplane.cli.events_text import health_document, health_sections, is_healthy

    emit(health_document(found), output, lambda: health_sections(found, datetime.now(UTC)))
    if not is_healthy(found):
        ctx.exit(DIFFERS)
