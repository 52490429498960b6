"""One malformed value is one problem: what is cut out for it makes up no problems elsewhere."""

import pytest

from dataplane.config import Source, load_sources

from .networks import Plain, problems
from .test_design_example import EXAMPLE


def example() -> Plain:
    """The example of the design as plain values, without a problem."""
    read: Plain = load_sources([Source("net.yaml", EXAMPLE)]).root.plain()
    return read


def spoilt(path: str) -> Plain:
    """The example with a list where a single value belongs, or a number where a list does."""
    network = example()
    *steps, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    inner = network
    for step in steps:
        inner = inner[step]
    inner[last] = 5 if isinstance(inner.get(last), list) else ["x"]
    return network


@pytest.mark.parametrize(
    "path",
    [
        "accounts/corp/uid",
        "hosts/host-1/address",
        "regions/cn-beijing/custom_route_tables",
        "regions/cn-beijing/zones/a/host",
        "access_points/beijing-daxing-a/region",
        "vpcs/vpc-a/cidr",
        "vpcs/vpc-a/account",
        "vpcs/vpc-a/mtu",
        "vpcs/vpc-a/vswitches/vsw-1/cidr",
        "vpcs/vpc-a/vswitches/vsw-2/cidr",
        "vpcs/vpc-a/vswitches/vsw-2/route_table",
        "vpcs/vpc-a/instances/ecs-1/ip",
        "vpcs/vpc-a/instances/ecs-1/forwarding",
        "vpcs/vpc-a/instances/ecs-2/ip",
        "vpcs/vpc-a/route_tables/rt-web/routes",
        "vpcs/vpc-a/route_tables/system/routes",
        "vpcs/vpc-a/route_tables/system/routes/0/destination",
        "vpcs/vpc-a/route_tables/system/routes/0/next_hop",
        "services/oss/ip",
        "data_centres/idc/cidrs",
        "data_centres/idc/routes",
        "data_centres/idc/routes/0/destination",
        "physical_connections/pc-1/device",
        "vbrs/vbr-1/vlan",
        "vbrs/vbr-1/routes",
        "vbrs/vbr-1/routes/0/destination",
        "vbrs/vbr-1/routes/1/next_hop",
        "peering_connections/pcx-1/initiator/state",
        "peering_connections/pcx-1/initiator/vbr",
        "peering_connections/pcx-1/acceptor",
        "peering_connections/pcx-1/bandwidth",
        "peering_connections/pcx-1/health_check/fall",
        "accounts/corp",
        "hosts/host-1",
        "regions/cn-beijing",
        "access_points/beijing-daxing-a",
        "vpcs/vpc-a",
        "vpcs/vpc-a/vswitches/vsw-1",
        "vpcs/vpc-a/instances/ecs-1",
        "vpcs/vpc-a/route_tables/rt-web",
        "data_centres/idc",
        "physical_connections/pc-1",
        "vbrs/vbr-1",
        "peering_connections/pcx-1",
    ],
)
@pytest.mark.parametrize("profile", ["alibaba", "tencent"])
def test_one_malformed_value_is_one_problem(path: str, profile: str) -> None:
    found = problems(spoilt(path) | {"profile": profile})
    assert [problem.severity for problem in found] == ["error"], [str(problem) for problem in found]


def test_the_example_has_no_problem_as_plain_values() -> None:
    assert problems(example()) == []
