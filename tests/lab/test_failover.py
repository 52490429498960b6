"""One of two lines at different hosts is switched off: every host's part of the VPC takes the other one (R54)."""

from pathlib import Path

from lab.topology import TOPOLOGIES
from tests.lab.machine import Machine

HERE = TOPOLOGIES / "failover-hosts"
FLOWS = """\
must_reach:
  - from: [ecs-1, ecs-3]
    to: [idc-server, idc-office]
    via: [vbr-2, idc-router]
    back_via: [idc-router, vbr-2, host-2/vpc-a]
  - {from: ecs-2, to: [idc-server, idc-office], via: [vbr-2, idc-router], both_ways: true}
must_not_reach:
  - {from: [ecs-1, ecs-2, ecs-3], to: 10.10.10.2, answer: none}
"""


def test_r15_r50_r51_a_suspended_line_on_one_host_is_left_by_all(machine: Machine, tmp_path: Path) -> None:
    folder = tmp_path / "failover-hosts"
    folder.mkdir()
    network = (HERE / "network.yaml").read_text()
    (folder / "network.yaml").write_text(network)
    flows = (HERE / "lab.yaml").read_text()
    (folder / "lab.yaml").write_text(flows)
    machine.lab("up", str(folder))
    # Who suspends a connection tells the data centre, whose routers know nothing of it by themselves.
    suspended = network.replace("ri-a1, vpc: vpc-a}", "ri-a1, vpc: vpc-a, state: suspended}")
    suspended = suspended.replace("via: [vbr-1, vbr-2]}", "via: [vbr-2, vbr-1]}")
    (folder / "network.yaml").write_text(suspended)
    (folder / "lab.yaml").write_text(flows[: flows.index("must_reach:")] + FLOWS)
    assert machine.faults(str(folder)) == {}
