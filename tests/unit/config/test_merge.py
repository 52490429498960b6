"""Several files to one network: ids merge, nothing is said twice, and each account writes its own end."""

import pytest

from dataplane.config import Source, load_sources

from .networks import text_problems

HEAD = "version: 1\n"
VPC_A = "vpcs: {vpc-a: {account: corp, region: beijing, cidr: 192.168.0.0/16}}\n"
VPC_B = "vpcs: {vpc-b: {account: branch, region: beijing, cidr: 10.0.0.0/8}}\n"
INITIATOR = "initiator: {router_interface: ri-a, vpc: vpc-a, peer: {account: branch, router_interface: ri-b}}"
ACCEPTOR = "acceptor: {router_interface: ri-b, vpc: vpc-b, peer: {account: corp, router_interface: ri-a}}"


def connection(*lines):
    return "peering_connections:\n  pcx:\n" + "".join(f"    {line}\n" for line in lines)


def errors(*texts):
    return [message for message in text_problems(*texts) if "warning:" not in message]


def test_maps_of_several_files_merge_by_id():
    loaded = load_sources([Source("1.yaml", HEAD + VPC_A), Source("2.yaml", "\n\n" + VPC_B)])
    assert set(loaded.network.vpcs) == {"vpc-a", "vpc-b"}
    assert str(loaded.origin("vpcs", "vpc-b", "cidr")) == "2.yaml:3:50"


def test_an_id_in_two_files_is_an_error_that_names_both_places():
    (message,) = errors(HEAD + VPC_A, VPC_A)
    assert message == "2.yaml:1:8 vpcs.vpc-a: `vpc-a` stands here and at 1.yaml:2:8; keep one of them"


@pytest.mark.parametrize(
    "key", ["version: 1", "profile: tencent", "datapath: {hook: tc}", "quotas: {peerings_per_vpc: 7}"]
)
def test_settings_may_stand_in_two_files_if_they_are_equal(key):
    texts = [f"{key}\n" if key.startswith("version") else f"version: 1\n{key}\n"] * 2
    assert errors(*texts) == []


def test_settings_that_differ_are_an_error():
    (message,) = errors(HEAD + "profile: tencent\n", "profile: alibaba\n")
    assert message.startswith("2.yaml:1:1 profile: `profile` stands here and at 1.yaml:2:1;")


def test_r7_the_two_ends_of_a_connection_come_from_two_files():
    texts = HEAD + VPC_A + connection(INITIATOR, "bandwidth: 1Gbps"), VPC_B + connection(ACCEPTOR, "bandwidth: 1Gbps")
    assert errors(*texts) == []
    loaded = load_sources([Source(name, text) for name, text in zip("ab", texts, strict=True)])
    assert loaded.network.router_interfaces["ri-a"].peer == "ri-b"
    assert loaded.origin("peering_connections", "pcx", "acceptor").file == "b"


def test_the_same_end_in_two_files_is_an_error():
    (message,) = errors(HEAD + VPC_A + connection(INITIATOR), connection(INITIATOR))
    assert message.startswith("2.yaml:3:5 peering_connections.pcx.initiator: `initiator` stands here and at 1.yaml:")


def test_what_both_files_say_of_a_connection_is_equal():
    (message,) = errors(
        HEAD + VPC_A + connection(INITIATOR, "bandwidth: 1Gbps"), VPC_B + connection(ACCEPTOR, "bandwidth: 2Gbps")
    )
    assert message.startswith(
        "2.yaml:5:5 peering_connections.pcx.bandwidth: `bandwidth` stands here and at 1.yaml:6:5;"
    )


def test_r3_both_peers_are_compared_across_files():
    wrong = ACCEPTOR.replace("router_interface: ri-a}", "router_interface: ri-x}")
    (message,) = errors(HEAD + VPC_A + connection(INITIATOR), VPC_B + connection(wrong))
    assert "the other end is ri-a, not ri-x (R3)" in message


def test_a_file_that_cannot_be_read_does_not_make_the_others_dangle():
    messages = errors(HEAD + VPC_A + connection(INITIATOR, ACCEPTOR), "vpcs: [\n")
    assert len(messages) == 1
    assert messages[0].startswith("2.yaml:")


def test_empty_files_of_a_folder_are_nothing():
    assert errors(HEAD, "", "# nothing yet\n") == []


def test_a_top_level_key_that_is_empty_in_one_file():
    assert errors(HEAD + "vpcs:\n", VPC_A) == []
    assert errors(HEAD + VPC_A, "vpcs:\n") == []
    assert errors(HEAD + "vpcs: []\n", VPC_A) != []
