"""``dataplane doctor``: what this host lacks, and the package or module that brings it. It changes nothing."""

import os
from collections.abc import Iterable

import click

from dataplane.cli.host_checks import Check, Verdict, host_checks
from dataplane.cli.output import Section, Table, count, emit, output_option
from dataplane.cli.plan import DIFFERS

_COLUMNS = ("area", "name", "state", "found", "needed by", "what to do")


@click.command(
    epilog="""\b
Examples:
  sudo dataplane doctor
  sudo dataplane doctor --problems           only what is missing
  sudo dataplane doctor -o json | jq '.checks[] | select(.state == "missing")'
"""
)
@click.option("--problems", is_flag=True, help="Only what is missing.")
@output_option
@click.pass_context
def doctor(ctx: click.Context, problems: bool, output: str) -> None:
    """Say what this host lacks, and which package or module brings it.

    Exits with 3 where something needed is missing. Without root the kernel's features cannot be tried,
    and only the rest is looked at.
    """
    checks = [*host_checks(), *_kernel_checks()]
    shown = [check for check in checks if not (problems and check.verdict is Verdict.OK)]
    missing = sum(check.verdict is Verdict.MISSING for check in checks)
    emit(_document(checks, shown, missing), output, lambda: _sections(checks, shown, missing))
    if missing:
        ctx.exit(DIFFERS)


def _kernel_checks() -> list[Check]:
    if os.geteuid() != 0:
        return [Check("kernel", "features", Verdict.MISSING, "every network", "run it with sudo to try them")]
    from dataplane.kernel.features import probe

    return [
        Check(
            "kernel",
            feature.name,
            Verdict.OK if feature.is_present else Verdict.MISSING if feature.is_required else Verdict.OPTIONAL,
            feature.needed_by,
            "" if feature.is_present else feature.remedy,
        )
        for feature in probe()
    ]


def _document(checks: list[Check], shown: list[Check], missing: int) -> dict[str, object]:
    return {
        "is_ready": missing == 0,
        "kernel": os.uname().release,
        "summary": {verdict.value: sum(check.verdict is verdict for check in checks) for verdict in Verdict},
        "checks": [
            {
                "area": check.area,
                "name": check.name,
                "state": check.verdict.value,
                "found": check.found,
                "needed_by": check.needed_by,
                "remedy": check.remedy,
            }
            for check in shown
        ],
    }


def _sections(checks: list[Check], shown: list[Check], missing: int) -> Iterable[Section]:
    verdict = f"not ready: {count(missing, 'thing')} missing" if missing else "ready"
    yield f"{verdict}; {count(len(checks), 'check')} on kernel {os.uname().release}"
    if shown:
        rows = [(c.area, c.name, c.verdict.value, c.found or "-", c.needed_by, c.remedy or "-") for c in shown]
        yield ""
        yield Table(_COLUMNS, rows)
