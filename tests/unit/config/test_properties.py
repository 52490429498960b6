"""Property tests: whatever is done to a valid file, the answer is messages with a position, soon, and no crash."""

import copy
import json
import random
import sys
import time
from ipaddress import IPv4Network

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from dataplane.config import InvalidConfig, Loaded, Problem, Source, load_sources
from dataplane.config.rules.ranges import MAX_AROUND, Ranges, nested, overlapping_pairs
from dataplane.model.resource import Origin

from .networks import hybrid, two_vpcs
from .test_design_example import EXAMPLE

BOUNDED = settings(max_examples=400, deadline=None, database=None, suppress_health_check=list(HealthCheck))
PIECES = [
    "{",
    "}",
    "[",
    "]",
    ": ",
    "- ",
    "#",
    "&a ",
    "*a",
    "!!str ",
    "'",
    '"',
    "\t",
    "\0",
    "\n",
    "yes",
    "010",
    "é",
    "<<: ",
]
VALUES = [
    None,
    True,
    0,
    -1,
    2**64,
    1.5,
    "",
    "no",
    "x",
    "10.0.0.0/8",
    "::1",
    [],
    {},
    [[]],
    {"a": {}},
    ["ri-a", 5],
    "all",
]


def answer(text):
    """What is said of a text: a network, or messages that each name a place in it."""
    started = time.process_time()
    try:
        result = load_sources([Source("net.yaml", text)])
    except InvalidConfig as error:
        lines = text.count("\n") + 1
        assert any(problem.severity == "error" for problem in error.problems)
        for problem in error.problems:
            assert problem.origin.file == "net.yaml"
            assert 1 <= problem.origin.line <= lines + 1
            assert problem.origin.column >= 1
            assert str(problem).isprintable()
            assert str(problem).startswith(f"net.yaml:{problem.origin.line}:{problem.origin.column}")
        result = error
    assert time.process_time() - started < 1.0
    return result


def spots(value, path=()):
    """Every path in a plain value."""
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from spots(child, (*path, key))


def put(value, path, new):
    """Replace what is at a path."""
    for step in path[:-1]:
        value = value[step]
    value[path[-1]] = new


@seed(32)
@settings(BOUNDED, max_examples=1000)
@given(st.integers(0, 10**6))
def test_32_one_value_replaced_gives_positions_or_a_network(number):
    source = random.Random(number)
    network = source.choice([two_vpcs, hybrid])()
    for _ in range(source.randint(1, 4)):
        path = source.choice([spot for spot in spots(network) if spot])
        put(network, path, copy.deepcopy(source.choice(VALUES)))
        if source.random() < 0.3:
            break
    answer(json.dumps(network, indent=1))


@seed(33)
@BOUNDED
@given(st.integers(0, 10**6))
def test_32_keys_removed_and_misspelt_give_positions_or_a_network(number):
    source = random.Random(number)
    network = source.choice([two_vpcs, hybrid])()
    paths = [spot for spot in spots(network) if spot and isinstance(spot[-1], str)]
    path = source.choice(paths)
    parent = network
    for step in path[:-1]:
        parent = parent[step]
    value = parent.pop(path[-1])
    if source.random() < 0.5:
        parent[path[-1][1:] + "x"] = value
    answer(json.dumps(network))


@seed(34)
@BOUNDED
@given(st.integers(0, len(EXAMPLE)), st.sampled_from(PIECES), st.integers(0, 20))
def test_34_text_cut_into_gives_positions_or_a_network(at, piece, gone):
    answer(EXAMPLE[:at] + piece + EXAMPLE[at + gone :])


@seed(35)
@BOUNDED
@given(st.text(max_size=200))
def test_34_any_text_gives_positions(text):
    assert isinstance(answer(text), (InvalidConfig, Loaded))


@seed(36)
@BOUNDED
@given(st.text(max_size=80))
def test_36_any_id_is_refused_or_safe_in_a_path(name):
    network = {"version": 1, "vpcs": {name: {"account": "corp", "region": "beijing", "cidr": "10.0.0.0/8"}}}
    result = answer(json.dumps(network))
    if isinstance(result, Loaded):
        assert all(character in "abcdefghijklmnopqrstuvwxyz0123456789-" for character in name)
        assert 0 < len(name) < 64
        assert name not in ("all", "default", "lo")


@seed(38)
@BOUNDED
@given(st.lists(st.tuples(st.integers(0, 255), st.integers(24, 32)), max_size=12), st.integers(0, 255))
def test_38_ranges_agree_with_comparing_all_pairs(prefixes, probe):
    networks = [IPv4Network((f"10.0.0.{number}", length), strict=False) for number, length in prefixes]
    address = IPv4Network(f"10.0.0.{probe}/32")
    assert Ranges(networks).touches(address) == any(network.overlaps(address) for network in networks)
    named = [(str(index), network) for index, network in enumerate(networks)]
    pairs = list(overlapping_pairs(named))
    by_name = dict(named)
    assert all(by_name[first].overlaps(by_name[second]) for first, second in pairs)
    overlaps = any(a.overlaps(b) for index, a in enumerate(networks) for b in networks[index + 1 :])
    assert bool(pairs) == overlaps
    assert Ranges(networks).cover(address) == any(address.subnet_of(network) for network in networks)
    wider = address.supernet(4)
    assert Ranges(networks).cover(wider) == any(wider.subnet_of(network) for network in networks)
    found = {frozenset((name, outer)) for name, around in nested(named) for outer in around}
    all_pairs = [(a, b) for index, a in enumerate(named) for b in named[index + 1 :]]
    assert found == {frozenset((a[0], b[0])) for a, b in all_pairs if a[1].overlaps(b[1])}


def test_38_a_pile_of_equal_prefixes_does_not_cost_its_square():
    pile = [(number, IPv4Network("10.0.0.0/24")) for number in range(MAX_AROUND * 3)]
    assert max(len(around) for _, around in nested(pile)) == MAX_AROUND


def test_37_ids_that_are_equal_in_15_characters_are_two_resources():
    network = two_vpcs()
    for number in range(20):
        network["vpcs"]["vpc-a"]["instances"][f"a-long-common-prefix-{number}"] = {"vswitch": "vsw-a"}
    result = answer(json.dumps(network))
    assert len(result.network.vpcs["vpc-a"].instances) == 21


@pytest.mark.parametrize(
    "wrong",
    [
        Problem("error", Origin("other.yaml", 1), "", "another file"),
        Problem("error", Origin("net.yaml", 99), "", "a line that is not there"),
        Problem("error", Origin("net.yaml", 1, 0), "", "no column"),
        Problem("error", Origin("net.yaml", 1), "", "a control character \x1b"),
        Problem("warning", Origin("net.yaml", 1), "", "no error at all"),
    ],
    ids=lambda problem: problem.message[:12],
)
def test_the_checker_of_these_tests_can_fail(monkeypatch, wrong):
    def refuse(sources):
        raise InvalidConfig([wrong])

    monkeypatch.setattr(sys.modules[__name__], "load_sources", refuse)
    with pytest.raises(AssertionError):
        answer("version: 1")
