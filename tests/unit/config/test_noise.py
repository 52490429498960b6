"""One mistake is one message: what is broken neither hides other errors nor makes up errors of its own."""

import copy

import pytest

from dataplane.config.compose import compose

from .networks import hybrid, problems, said, two_vpcs
from .test_design_example import EXAMPLE
from .test_properties import put, spots

NETWORKS = {
    "two_vpcs": two_vpcs,
    "hybrid": hybrid,
    "example": lambda: compose("example.yaml", EXAMPLE, []).plain(),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_any_value_of_a_wrong_kind_is_one_error(name):
    whole = NETWORKS[name]()
    for path in [spot for spot in spots(whole) if spot]:
        network = copy.deepcopy(whole)
        put(network, path, 3.5)
        found = problems(network)
        assert len(found) == 1, f"{path}: {[str(problem) for problem in found]}"
        assert found[0].severity == "error"


@pytest.mark.parametrize("name", NETWORKS)
def test_any_misspelt_key_is_one_error(name):
    whole = NETWORKS[name]()
    for path in [spot for spot in spots(whole) if spot and is_key(spot)]:
        network = copy.deepcopy(whole)
        parent = network
        for step in path[:-1]:
            parent = parent[step]
        parent[f"{path[-1]}x"] = parent.pop(path[-1])
        found = problems(network)
        assert len(found) == 1, f"{path}: {[str(problem) for problem in found]}"
        if "next_hop" not in path[:-1]:
            assert found[0].remedy == f"did you mean `{path[-1]}`?"


def is_key(path):
    """Whether the last step is a key of the language and not an id, which may be called anything."""
    maps_of_ids = ("zones", "vswitches", "instances", "route_tables")
    is_id = len(path) == 2 and path[0] not in ("datapath", "quotas")
    return isinstance(path[-1], str) and not is_id and not (len(path) > 1 and path[-2] in maps_of_ids)


def test_two_broken_resources_are_two_errors_and_the_rules_still_run():
    network = two_vpcs()
    network["vpcs"]["vpc-a"]["vswitches"]["vsw-a"]["cidr"] = "nonsense"
    network["vpcs"]["vpc-b"]["instances"]["ecs-b"]["mac"] = "nonsense"
    network["vpcs"]["vpc-b"]["vswitches"]["vsw-2"] = {"zone": "a", "cidr": "10.0.0.0/24"}
    assert said(network) == [
        ("error", None, "vpcs.vpc-a.vswitches.vsw-a.cidr"),
        ("error", "R78", "vpcs.vpc-b.vswitches.vsw-2.cidr"),
        ("error", None, "vpcs.vpc-b.instances.ecs-b.mac"),
    ]


def test_positions_in_a_list_are_those_of_the_file_after_a_cut():
    network = two_vpcs()
    routes = network["vpcs"]["vpc-a"]["route_tables"]["system"]["routes"]
    routes.insert(0, {"destination": "nonsense", "next_hop": {"instance": "ecs-a"}})
    routes.append({"destination": "10.0.0.0/8", "next_hop": {"instance": "ecs-x"}})
    paths = [path.removeprefix("vpcs.vpc-a.route_tables.system.") for _, _, path in said(network)]
    assert paths == ["routes[0].destination", "routes[2].next_hop.instance"]


def test_later_passes_do_not_repeat_or_lose_anything():
    network = two_vpcs()
    end = network["peering_connections"]["pcx"]["initiator"]
    end["vpcc"] = end.pop("vpc")
    network["vpcs"]["vpc-a"]["instances"]["ecs-a"]["attach"] = {}
    paths = [path for _, _, path in said(network)]
    assert paths == ["vpcs.vpc-a.instances.ecs-a.attach", "peering_connections.pcx.initiator.vpcc"]
