"""``dataplane cpe``: what the data centre's router needs at the far end of a VBR's line, in its own words."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dataplane.cli.context import did_you_mean, files_argument, folders, load, need_root
from dataplane.cli.output import emit, output_option

if TYPE_CHECKING:
    from dataplane.config import Loaded
    from dataplane.config.network import Network
    from dataplane.observe.cpe import Cpe

# Spelt out here, since completion and --help must not import the configuration.
_FORMATS = ("iproute2", "frr", "cisco")
_INTERFACE = re.compile(r"[A-Za-z0-9][-A-Za-z0-9_.:/]{0,63}")
"""Of any kind of router; nothing that a shell would take for more than a word, since the text is to be executed."""


@click.command(
    epilog="""\b
Examples:
  dataplane cpe vbr-1 network.yaml
  dataplane cpe vbr-1 network.yaml --format cisco --interface GigabitEthernet0/1
  dataplane cpe vbr-1 network.yaml --with vbr-2       one router ends both lines
  dataplane cpe vbr-1 network.yaml --with vbr-2 --interface vbr-1=wan1 --interface vbr-2=wan2
  sudo dataplane cpe vbr-1 -o json | jq -r '.routes[].destination'
"""
)
@click.argument("vbr", metavar="VBR")
@files_argument
@click.option(
    "--format", "form", type=click.Choice(_FORMATS), default=_FORMATS[0], show_default=True, help="The kind of router."
)
@click.option("--with", "others", multiple=True, metavar="VBR", help="Another VBR whose line ends at the same router.")
@click.option(
    "--interface",
    "interfaces",
    multiple=True,
    metavar="[VBR=]NAME",
    help="The router's interface that the line ends at; eth0 (GigabitEthernet0/0) without it.",
)
@output_option
def cpe(
    vbr: str, files: tuple[Path, ...], form: str, others: tuple[str, ...], interfaces: tuple[str, ...], output: str
) -> None:
    """Print what the data centre's router needs at the far end of a VBR's line.

    Its VLAN interface and address (R26, R27), its routes to the VPCs behind the VBR (R31), to the
    sources of health checks (R44) and to the cloud services (R135), each with the rule that asks for
    it. Without a FILE it is about the network that was applied here (which needs root), else about
    /etc/dataplane.
    """
    from dataplane.observe.cpe import cpe_of
    from dataplane.observe.cpe_text import text_of

    network = _configuration(files).network
    vbrs = tuple(dict.fromkeys((vbr, *others)))
    _check_vbrs(network, vbrs)
    needed = cpe_of(network, vbrs, _interfaces(network, vbrs, form, interfaces))
    text = text_of(needed, form)
    emit(_document(needed, form, text), output, lambda: _sections(text))


def _configuration(files: tuple[Path, ...]) -> "Loaded":
    """The files, else what was applied here, else the default folder."""
    if files:
        return load(files)
    from dataplane.agent.store import Store
    from dataplane.config import load_sources

    need_root("dataplane cpe without a FILE", "reads the state of what was applied here")
    sources = Store(folders().state).load().applied.sources
    return load_sources(sources) if sources else load(())


def _check_vbrs(network: "Network", vbrs: Sequence[str]) -> None:
    for vbr in vbrs:
        if vbr not in network.vbrs:
            known = f"; there are: {', '.join(network.vbrs)}." if network.vbrs else ", and there is none."
            raise click.UsageError(f"no VBR {vbr} in this network{known}{did_you_mean(vbr, network.vbrs)}")


def _interfaces(network: "Network", vbrs: Sequence[str], form: str, options: Sequence[str]) -> dict[str, str]:
    """VBR id -> the router's interface: as asked for, else one by default for each line."""
    from dataplane.observe.cpe_text import DEFAULT_INTERFACES

    lines = list(dict.fromkeys(network.vbrs[vbr].physical_connection for vbr in vbrs))
    default = DEFAULT_INTERFACES[form]
    found = {vbr: default.format(number=lines.index(network.vbrs[vbr].physical_connection)) for vbr in vbrs}
    for option in options:
        left, is_for_one, right = option.partition("=")
        if is_for_one and left not in found:
            raise click.UsageError(f"--interface {option}: {left} is none of {', '.join(found)}")
        name = right if is_for_one else left
        if not _INTERFACE.fullmatch(name):
            raise click.UsageError(f"--interface {option}: `{name}` is not the name of an interface")
        found |= {left: name} if is_for_one else dict.fromkeys(found, name)
    return found


def _sections(text: str) -> Iterable[str]:
    yield text.rstrip("\n")


def _document(needed: "Cpe", form: str, text: str) -> dict[str, object]:
    return {
        "format": form,
        "lines": [
            {
                "vbr": line.vbr,
                "physical_connection": line.physical_connection,
                "data_centre": line.data_centre,
                "interface": line.interface,
                "vlan": line.vlan,
                "address": str(line.address),
                "gateway": str(line.gateway),
                "probes": [{"source": str(source), "destination": str(target)} for source, target in line.probes],
            }
            for line in needed.lines
        ],
        "routes": [
            {
                "destination": str(route.destination),
                "via": [str(needed.line(vbr).gateway) for vbr in route.vbrs],
                "vbrs": list(route.vbrs),
                "is_balanced": route.is_balanced,
                "rule": route.rule,
                "reason": route.reason,
            }
            for route in needed.routes
        ],
        "hints": list(needed.hints),
        "text": text,
    }
