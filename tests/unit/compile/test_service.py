"""Cloud services behind 100.64.0.0/10 (R61, R133, R134)."""

from tests.fakes.networks import TWO_CIRCUITS, desired
from tests.fakes.walk import Fate, Walk

SERVICES = "services:\n  oss: {ip: 100.64.1.10, region: cn-beijing}\n  far: {ip: 100.64.2.10, region: other}\n"
TEXT = TWO_CIRCUITS.replace("vpcs:\n", f"{SERVICES}vpcs:\n", 1).replace(
    "cn-beijing: {zones: {a: {}}}", "cn-beijing: {zones: {a: {}}}\n  other: {}"
)


def walk(text: str) -> Walk:
    return Walk([wish.object for wish in desired(text).wanted.values()])


def test_r133_a_service_is_reached_from_the_vpcs_of_its_region() -> None:
    there = walk(TEXT)
    assert there.send("dp-i-ecs-1", "100.64.1.10") == Fate("delivered", "dp-svc-vpc-a", ("dp-vpc-vpc-a",))
    assert there.send("dp-i-ecs-1", "100.64.2.10").verdict == "unreachable", "of another region"
    assert there.send("dp-i-ecs-1", "100.64.1.11").verdict == "unreachable", "unknown"


def test_r134_from_the_data_centre_by_the_two_halves() -> None:
    halves = "".join(
        f"      - {{destination: {half}, next_hop: {{router_interface: ri-v1}}}}\n"
        for half in ("100.64.0.0/11", "100.96.0.0/11")
    )
    text = TEXT.replace(
        "      - {destination: 192.168.0.0/16, next_hop: {router_interface: ri-v1}}\n",
        ("      - {destination: 192.168.0.0/16, next_hop: {router_interface: ri-v1}}\n" + halves),
    )
    assert walk(text).arrive("dp-vbr-vbr-1", "172.16.5.5", "100.64.1.10").where == "dp-svc-vpc-a"
    assert walk(text).arrive("dp-vbr-vbr-1", "172.16.5.5", "100.100.0.1").verdict == "unreachable"


def test_a_custom_route_inside_the_block_overrides_the_service() -> None:
    """R62 holds for 100.64.0.0/10 as for vSwitches."""
    route = "          - {destination: 100.64.1.0/24, next_hop: {instance: ecs-1}}\n"
    text = TEXT.replace("        routes:\n", f"        routes:\n{route}", 1)
    assert walk(text).send("dp-i-ecs-2", "100.64.1.10").where == "dp-i-ecs-1"
