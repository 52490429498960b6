"""The JSON Schema against files: what the loader takes an editor must not underline, and typing errors it should.

The schema is weaker than the loader by nature: it knows neither ranges of addresses nor references.
"""

from pathlib import Path

import jsonschema
import pytest

from dataplane.config import Source, load_sources, schema

from .networks import EMPTY, Plain, hybrid, problems, two_vpcs
from .test_design_example import EXAMPLE

TOPOLOGIES = sorted((Path(__file__).resolve().parents[3] / "lab" / "topologies").glob("*/network.yaml"))


def complaints(plain: Plain) -> list[str]:
    """What the schema has against a file, as paths and sentences."""
    validator = jsonschema.Draft202012Validator(schema())
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(plain)]


def plain(text: str) -> Plain:
    """A file's values, as an editor for YAML 1.2 reads them; the loader takes the file."""
    read: Plain = load_sources([Source("net.yaml", text)]).root.plain()
    return read


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("path", TOPOLOGIES, ids=[path.parent.name for path in TOPOLOGIES])
def test_the_networks_of_the_lab_are_valid(path: Path) -> None:
    assert complaints(plain(path.read_text())) == []


def test_there_are_networks_in_the_lab() -> None:
    assert len(TOPOLOGIES) >= 3


def test_the_example_of_the_design_is_valid() -> None:
    assert complaints(plain(EXAMPLE)) == []


@pytest.mark.parametrize("network", [two_vpcs, hybrid])
def test_the_networks_of_these_tests_are_valid(network) -> None:
    assert complaints(network()) == []


def test_r5_states_as_they_are_shown_are_valid() -> None:
    network = two_vpcs()
    network["peering_connections"]["pcx"]["initiator"]["state"] = "Activated"
    assert complaints(network) == []


def test_keys_without_a_value_are_empty_maps_and_lists() -> None:
    assert complaints(plain(EMPTY)) == []


def _set(network: Plain, value: object, *path: str) -> Plain:
    inner = network
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return network


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("version",), 2),
        (("colour",), "red"),
        (("profile",), "aws"),
        (("vpcs", "VPC_A"), {"account": "corp", "region": "r", "cidr": "10.0.0.0/8"}),
        (("vpcs", "vpc-a", "cidr"), "10.0.0.0"),
        (("vpcs", "vpc-a", "cird"), "10.0.0.0/8"),
        (("vpcs", "vpc-a", "name"), "1st"),
        (("vpcs", "vpc-a", "description"), "x"),
        (("vpcs", "vpc-a", "vswitches", "vsw-a"), {"zone": "a"}),
        (("vpcs", "vpc-a", "instances", "ecs-a", "state"), "off"),
        (("vpcs", "vpc-a", "route_tables", "system", "routes"), [{"destination": "10.0.0.0/8", "next_hop": "x"}]),
        (("vbrs", "vbr-1", "vlan"), 4095),
        (("peering_connections", "pcx-1", "bandwidth"), 10),
        (("peering_connections", "pcx-1", "health_check", "source"), 5),
        (("peering_connections", "pcx-1", "initiator", "state"), "aktive"),
    ],
)
def test_what_the_loader_refuses_by_its_form_the_schema_refuses_too(path, value) -> None:
    network = _set(hybrid(), value, *path)
    assert problems(network)
    assert complaints(network)
