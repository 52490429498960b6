"""`dataplane datapath simulate` with the real program: the two-circuit network, at both hooks."""

import json

import pytest
from click.testing import CliRunner

from dataplane.cli.main import cli
from lab.topology import TOPOLOGIES

NETWORK = str(TOPOLOGIES / "standby-circuits" / "network.yaml")


@pytest.mark.parametrize(
    ("arguments", "code", "reason", "end", "routers"),
    [
        ("ecs-1 ecs-2", 0, "forwarded", "instance/ecs-2", 1),
        ("ecs-1 172.16.0.9 --proto tcp --dport 443 --hook tc", 0, "forwarded", "line/vbr-1", 2),
        ("ecs-1 172.16.0.9 --hook xdp", 0, "forwarded", "line/vbr-1", 2),
        ("ecs-1 10.10.10.2 --hook tc", 0, "forwarded", "line/vbr-1", 2),
        ("ecs-1 10.10.11.2 --hook xdp", 0, "forwarded", "line/vbr-2", 2),
        ("ecs-1 172.16.0.9 --proto udp --size 1501 --hook xdp", 3, "too_big", "instance/ecs-1", 1),
        ("line/vbr-1 10.10.10.2 --source 172.16.0.9", 3, "prohibited", "line/vbr-1", 1),
        ("line/vbr-2 ecs-1 --source 172.16.0.9 --hook xdp", 0, "forwarded", "instance/ecs-1", 2),
        ("line/vbr-2 ecs-1 --source 172.16.0.9 --hook tc", 0, "forwarded", "instance/ecs-1", 2),
        ("line/vbr-2 172.17.0.1 --source 172.16.0.9", 3, "prohibited", "line/vbr-2", 1),
        ("ecs-1 ecs-2 --source 10.9.9.9", 3, "spoofed_source", "instance/ecs-1", 1),
        ("ecs-1 ecs-2 --ttl 1", 3, "ttl", "instance/ecs-1", 1),
        ("ecs-1 172.16.0.9 --ttl 2", 3, "ttl", "peering_connection/pcx-1/initiator", 2),
        ("ecs-1 ecs-2 --proto udp --size 1501", 3, "too_big", "instance/ecs-1", 1),
        ("ecs-1 ecs-2 --proto udp --size 1500", 0, "forwarded", "instance/ecs-2", 1),
        ("ecs-1 ecs-3", 3, "unreachable", "instance/ecs-1", 1),
        ("ecs-1 192.168.1.253", 3, "local", "instance/ecs-1", 1),
    ],
)
def test_what_the_program_says(arguments: str, code: int, reason: str, end: str, routers: int) -> None:
    """R50 active first, R88, D16, D17; exit code 3 where it is not delivered."""
    result = CliRunner().invoke(cli, ["datapath", "simulate", *arguments.split(), "--offline", NETWORK, "-o", "json"])
    assert result.exit_code == code, result.output
    found = json.loads(result.stdout)
    assert (found["reason"], found["end"], len(found["routers"])) == (reason, end, routers)
    assert found["is_delivered"] == (code == 0)
    if code == 0:
        assert found["ttl"] == 64 - routers
