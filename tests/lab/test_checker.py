"""The checker itself, seen red: each thing that a flow asserts fails where it does not hold, and says where."""

import sys

import pytest

from tests.lab.machine import Machine, write_topology

UDP_A_TO_B = ["must_reach:", "  - {from: a, to: b, protocol: [udp, tcp, icmp]}"]
PROTOCOLS = ("udp", "tcp", "icmp")


def test_the_small_topology_itself_passes(machine: Machine, tmp_path) -> None:
    hops = "  - {from: a, to: b, protocol: icmp, hops: [172.16.1.253, 192.168.1.253]}"
    assert machine.faults(write_topology(tmp_path / "good", [*UDP_A_TO_B, hops])) == {}


def test_r67_a_missing_route_is_a_fault_of_the_way_forward(machine: Machine, tmp_path) -> None:
    faults = machine.faults(write_topology(tmp_path / "no-forward", UDP_A_TO_B, forward=""))
    assert set(faults) == {f"a -> b {protocol}" for protocol in PROTOCOLS}
    for texts in faults.values():
        assert len(texts) == 1
        assert texts[0].startswith("forward: did not arrive; last seen in the router of vpc vpc-1 (dp-vpc-vpc-1)")
    # Not in all three: the kernel limits its ICMP errors.
    assert any("172.16.1.253 answered host_unreachable" in texts[0] for texts in faults.values())


def test_r72_a_missing_return_route_is_a_fault_of_the_way_back(machine: Machine, tmp_path) -> None:
    faults = machine.faults(write_topology(tmp_path / "no-back", UDP_A_TO_B, back=""))
    assert set(faults) == {f"a -> b {protocol}" for protocol in PROTOCOLS}
    for texts in faults.values():
        assert len(texts) == 1
        assert texts[0].startswith("back: no answer; last seen in the router of vpc vpc-2 (dp-vpc-vpc-2)")


def test_must_not_reach_between_connected_vpcs_fails(machine: Machine, tmp_path) -> None:
    flows = ["must_not_reach:", "  - {from: a, to: b}"]
    faults = machine.faults(write_topology(tmp_path / "connected", flows))
    assert set(faults) == {f"a -> b {protocol}" for protocol in PROTOCOLS}
    for texts in faults.values():
        assert "reached instance b (dp-i-b), which it must not" in texts
        assert any(text.startswith("seen in the router of vpc vpc-2") for text in texts)


@pytest.mark.parametrize(
    ("flow", "expected"),
    [
        ("{from: a, to: b, protocol: udp, via: [fw], back_via: []}", "forward: did not pass instance fw (dp-i-fw)"),
        ("{from: a, to: b, protocol: udp, back_via: [fw]}", "back: did not pass instance fw (dp-i-fw)"),
        ("{from: a, to: b, protocol: icmp, hops: [172.16.1.253]}", "the destination is 192.168.1.253 at TTL 2"),
        ("{from: a, to: b, protocol: icmp, hops: [10.0.0.1, 192.168.1.253]}", "hop 1 is 172.16.1.253 at TTL 1"),
    ],
)
def test_a_wrong_path_fails(machine: Machine, tmp_path, flow: str, expected: str) -> None:
    faults = machine.faults(write_topology(tmp_path / "path", ["must_reach:", f"  - {flow}"]))
    assert any(expected in text for texts in faults.values() for text in texts), faults


@pytest.mark.parametrize(
    ("flow", "expected"),
    [
        (
            "{from: a, to: 198.51.100.1, answer: prohibited, protocol: udp}",
            "answer was host_unreachable from 172.16.1.253",
        ),
        ("{from: a, to: 198.51.100.1, answer: none, protocol: udp}", "answer was host_unreachable from 172.16.1.253"),
        # The way of c's packets leads through fw (rt-2), which the flow does not name.
        (
            "{from: c, to: 172.16.1.77, protocol: udp}",
            "seen in instance fw (dp-i-fw) on eth0, where it has no business",
        ),
        ("{from: a, to: 198.51.100.1, via: [vpc-2], protocol: udp}", "forward: did not pass the router of vpc vpc-2"),
    ],
)
def test_a_wrong_end_fails(machine: Machine, tmp_path, flow: str, expected: str) -> None:
    faults = machine.faults(write_topology(tmp_path / "end", ["must_not_reach:", f"  - {flow}"]))
    assert any(expected in text for texts in faults.values() for text in texts), faults


def test_a_sender_that_cannot_send_proves_nothing(machine: Machine, tmp_path) -> None:
    folder = write_topology(tmp_path / "silent", ["must_not_reach:", "  - {from: a, to: 198.51.100.1, protocol: udp}"])
    machine.lab("up", folder)
    machine.lab("exec", "a", "--", "ip", "link", "set", "eth0", "down")
    (texts,) = machine.faults_as_it_is(folder).values()
    assert "nothing left a" in texts[0]
    assert "which proves nothing" in texts[0]


def test_a_port_that_is_taken_is_named(machine: Machine, tmp_path) -> None:
    folder = write_topology(tmp_path / "taken", UDP_A_TO_B)
    machine.lab("up", folder)
    listener = "import socket, time; s = socket.create_server(('', 7)); time.sleep(60)"
    process = machine.popen(sys.executable, "-m", "dataplane", "lab", "exec", "b", "--", "python3", "-c", listener)
    try:
        for _ in range(200):
            if "0.0.0.0:7 " in machine.lab("exec", "b", "--", "ss", "-ltn").stdout:
                break
        done = machine.lab("test", folder, check=False)
    finally:
        process.kill()
        process.wait()
    assert done.returncode == 1
    assert "instance b cannot listen on 192.168.1.10 tcp/7" in done.stderr


def test_r62_a_custom_table_holds_for_what_its_vswitch_sends_only(machine: Machine, tmp_path) -> None:
    flow = "  - {from: a, to: c, back_via: [fw]}"
    assert machine.faults(write_topology(tmp_path / "asymmetric", ["must_reach:", flow])) == {}
