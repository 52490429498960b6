"""Names that we generate: short enough, never two alike (reliability 37; R88 where chance is in it)."""

import itertools
import math

from dataplane.model import names
from dataplane.model.ids import IdBook, Numbering
from tests.fakes.networks import PEERED, desired

COUNT = 100_000
IFNAMSIZ = 16
IFALIASZ = 256
PREFIX = "equal-in-its-first-characters-"
IDS = [f"{PREFIX}{number:06}" for number in range(COUNT)]
LONGEST_ID = "a" * 63


def test_37_interface_names_of_100000_ids_that_begin_alike_differ() -> None:
    """They are made of numbers, not of ids: dense, and each ours."""
    assert len({name[:15] for name in IDS}) == 1
    numbering = Numbering(IdBook())
    ports = [numbering.number("port", f"instance/{name}") for name in IDS]
    ifnames = {names.port_ifname(letter, port) for letter in "irvwx" for port in ports}
    assert len(ifnames) == 5 * COUNT
    assert max(map(len, ifnames)) < IFNAMSIZ
    assert all(names.is_port_ifname(name) for name in ifnames)
    assert len({names.port_ifindex(port) for port in ports}) == COUNT
    again = Numbering(numbering.book())
    assert [again.number("port", f"instance/{name}") for name in reversed(IDS)] == ports[::-1]


def test_37_namespaces_of_different_things_never_have_one_name() -> None:
    """Whatever ids there are: the kind stands in front, so that `vpc-a` as an instance is not the VPC `a`."""
    kinds = (names.vpc_namespace, names.vbr_namespace, names.service_namespace, names.instance_namespace)
    ids = ["a", "vpc-a", "i-a", "svc-a", "vbr-a", "i", "vpc", "dp-vpc-a", "vpc-i-a", LONGEST_ID]
    found = [kind(name) for kind, name in itertools.product(kinds, ids)]
    assert len(set(found)) == len(found)
    assert max(map(len, found)) <= 255, "of a file"
    longest = names.mark("next_hop_tunnel", f"{LONGEST_ID}/{LONGEST_ID}")
    assert len(longest) < IFALIASZ and names.parse_mark(longest) == ("next_hop_tunnel", f"{LONGEST_ID}/{LONGEST_ID}")


def test_37_macs_of_100000_ids_differ() -> None:
    """Five octets of a hash: for so many ids the chance of any two alike is 1 in 200, and these have none."""
    found = {names.mac_address("instance", name) for name in IDS}
    assert len(found) == COUNT
    assert all(mac.startswith("02:") for mac in found), "locally administered, of one host"
    assert COUNT**2 / 2 ** (5 * 8 + 1) < 1 / 200


def test_37_vnis_collide_as_often_as_chance_says_so_that_they_are_checked() -> None:
    """24 bits are few: some 300 pairs among 100,000 ids. R88 finds them in the file (``config/rules/host.py``)."""
    found = [names.vni("vpc", name) for name in IDS]
    assert min(found) >= 1 and max(found) <= names.MAX_VNI
    alike = COUNT - len(set(found))
    expected = COUNT**2 / 2 / names.MAX_VNI
    assert abs(alike - expected) < 5 * math.sqrt(expected)
    assert names.vni("vpc", "a") != names.vni("peering_connection", "a"), "kinds are apart"


def test_37_no_two_objects_of_a_network_share_a_mac() -> None:
    """Both ends of every veth of a network, by what is compiled."""
    links = [wish.object for key, wish in desired(PEERED).wanted.items() if key[0] == "veth"]
    macs = [end.mac for link in links for end in link.ends]
    assert len(macs) == len(set(macs)) == 2 * (3 + 2)
