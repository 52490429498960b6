"""Addresses that the file leaves open (R79, R40, D21, D22)."""

from ipaddress import IPv4Address

import pytest

from dataplane.compile.lifecycle import forbidden_changes, remember
from dataplane.config import InvalidConfig
from dataplane.model.memory import Memory
from tests.fakes.networks import desired, network

TEXT = """
version: 1
accounts: {corp: {uid: "1"}}
regions: {r1: {zones: {a: {}}}}
vpcs:
  vpc-a:
    account: corp
    region: r1
    cidr: 192.168.0.0/16
    vswitches: {vsw-1: {zone: a, cidr: 192.168.1.0/29}}
    instances:
      one: {vswitch: vsw-1}
      two: {vswitch: vsw-1, ip: 192.168.1.2}
      three: {vswitch: vsw-1}
"""


def addresses(text: str, **remembered: str) -> dict[str, str]:
    known = {name: IPv4Address(value) for name, value in remembered.items()}
    return {name: str(value) for name, value in desired(text, remembered=known).addresses.items()}


def test_the_lowest_free_address_is_given() -> None:
    assert addresses(TEXT) == {"one": "192.168.1.1", "two": "192.168.1.2", "three": "192.168.1.3"}


def test_a_remembered_address_stays_when_another_instance_comes_before() -> None:
    text = TEXT.replace("      one:", "      zero: {vswitch: vsw-1}\n      one:")
    assert addresses(text, one="192.168.1.1", three="192.168.1.3")["zero"] == "192.168.1.4"


def test_a_remembered_address_that_somebody_now_writes_is_given_up() -> None:
    found = addresses(TEXT, one="192.168.1.2")
    assert (found["one"], found["two"]) == ("192.168.1.1", "192.168.1.2")


def test_r79_reserved_addresses_are_never_given() -> None:
    assert addresses(TEXT, one="192.168.1.5")["one"] == "192.168.1.1"


def test_r79_an_exhausted_vswitch_names_the_instance() -> None:
    text = TEXT + "      four: {vswitch: vsw-1}\n      five: {vswitch: vsw-1}\n"
    with pytest.raises(InvalidConfig) as error:
        desired(text)
    assert "R79" in str(error.value)


def changes(before: str, after: str) -> list[str]:
    memory = remember(network(before), desired(before))
    known = memory.addresses()
    return [str(p) for p in forbidden_changes(network(after), desired(after, remembered=known), memory)]


def test_r75_a_cidr_cannot_change() -> None:
    after = TEXT.replace("192.168.1.0/29", "192.168.1.0/28")
    (problem,) = changes(TEXT, after)
    assert "network.yaml:10" in problem
    assert "192.168.1.0/29" in problem and "R75" in problem


def test_r85_a_new_address_needs_a_stopped_instance() -> None:
    after = TEXT.replace("ip: 192.168.1.2", "ip: 192.168.1.4")
    (problem,) = changes(TEXT, after)
    assert "R85" in problem and "two" in problem
    assert changes(TEXT, after.replace("ip: 192.168.1.4", "ip: 192.168.1.4, state: stopped")) == []


def test_nothing_is_forbidden_without_a_memory() -> None:
    assert forbidden_changes(network(TEXT), desired(TEXT), Memory()) == []
