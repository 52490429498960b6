"""What a leased line must carry besides plain packets: fragments, and the news that a packet is too big (R27, D17)."""

import sys

from lab.topology import TOPOLOGIES
from tests.lab.machine import Machine

SERVER = "172.16.1.10"
NETWORK = TOPOLOGIES / "standby-circuits" / "network.yaml"


def test_fragments_and_path_mtu_across_a_line(machine: Machine) -> None:
    """The line's MTU is its device's: a smaller one is told to the sender by the VBR, and fragments get through."""
    machine.lab("up", "standby-circuits")
    try:
        whole = machine.lab("exec", "ecs-1", "--", "ping", "-c1", "-w5", "-s", "4000", SERVER)
        assert "1 received" in whole.stdout
        # As on a real line, both ends have the same.
        for node, device in (("host-1", "eth1"), ("idc-router", "eth1.1000"), ("idc-router", "eth1")):
            machine.lab("exec", node, "--", "ip", "link", "set", "dev", device, "mtu", "1400")
        machine.lab("exec", "host-1", "--", sys.executable, "-m", "dataplane", "apply", str(NETWORK))
        too_big = machine.lab(
            "exec", "ecs-1", "--", "ping", "-c1", "-W2", "-M", "do", "-s", "1400", SERVER, check=False
        )
        assert "From 10.10.10.1" in too_big.stdout
        assert "mtu = 1400" in too_big.stdout
        assert "1 received" in machine.lab("exec", "ecs-1", "--", "ping", "-c1", "-w5", "-s", "4000", SERVER).stdout
    finally:
        machine.lab("down", "standby-circuits")
