"""What an acceptance.yaml may say, and what is wrong with others: each mistake at its line (R54, R124)."""

from pathlib import Path

import pytest

from dataplane.cli.acceptance import read_file
from dataplane.config.problem import InvalidConfig

WHOLE = """\
version: 1
title: Handover
duration: 300s
measures:
  - name: servers
    from: [ecs-1, ecs-2]
    to: 172.16.1.10
    kinds: [bandwidth, requests]
    directions: outbound
    flows: 12
    limits:
      bandwidth: {share: 90, most: 102, rate: 500Mbps}
      requests: {requests: 1000, p99: 5ms}
drills:
  - {leg: ri-a1, for: 5s, from: ecs-1, to: idc-server, max_outage: 900ms}
"""


def read(tmp_path: Path, text: str) -> object:
    file = tmp_path / "acceptance.yaml"
    file.write_text(text)
    return read_file(file)[0]


def test_a_whole_file(tmp_path: Path) -> None:
    found = read(tmp_path, WHOLE)
    (measure,), (drill,) = found.measures, found.drills  # type: ignore[attr-defined]
    assert (found.duration_ms, measure.flows, measure.limits.requests.p99_ms) == (300_000, 12, 5)  # type: ignore[attr-defined]
    assert (measure.limits.bandwidth.rate, drill.max_outage_ms) == (500_000_000, 900)


@pytest.mark.parametrize(
    ("old", "new", "where", "message"),
    [
        ("300s", "300ms", ":3:11 duration: ", "300ms is not a duration of a measure (R124); write 1s to 60m"),
        ("kinds: [bandwidth, requests]", "kinds: speed", ":8:12 measures[0].kinds", "`speed` is not a kind of measure"),
        ("outbound", "up", ":9:17 measures[0].directions", "`up` is not a direction (R124)"),
        ("flows: 12", "flows: 0", ":10:12 measures[0].flows", "0 is not a number of flows (R122)"),
        ("{requests: 1000,", "{rate: 1Gbps,", ":12:7 measures[0].limits: ", "requests has no limit `rate`"),
        (
            "max_outage: 900ms",
            "max_outage: 5s",
            ":15:5 drills[0]: ",
            "the drill is over before an outage of that length",
        ),
        ("share: 90", "share: 101", "measures[0].limits.bandwidth.share", "101 is not a share in percent"),
        ("    to: 172.16.1.10\n", "", "measures[0]: ", "the key `to` is missing"),
        ("title:", "titel:", ":2:8 titel: ", "the key `titel` is unknown; see the language in README.md"),
    ],
)
def test_mistakes_have_their_place(tmp_path: Path, old: str, new: str, where: str, message: str) -> None:
    assert old in WHOLE
    with pytest.raises(InvalidConfig) as found:
        read(tmp_path, WHOLE.replace(old, new))
    assert where in str(found.value)
    assert message in str(found.value)


def test_a_list_with_a_wrong_item_is_not_called_empty(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig) as found:
        read(tmp_path, WHOLE.replace("[bandwidth, requests]", "[bandwith]"))
    (problem,) = found.value.problems
    assert "`bandwith` is not a kind of measure" in problem.message
    with pytest.raises(InvalidConfig, match=r":6:11 measures\[0\].from: the list is empty; name at least one"):
        read(tmp_path, WHOLE.replace("[ecs-1, ecs-2]", "[]"))


def test_a_file_that_asks_for_nothing_is_no_acceptance(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="the file asks for nothing"):
        read(tmp_path, "version: 1\n")


def test_two_measures_have_two_names(tmp_path: Path) -> None:
    twice = WHOLE.replace("drills:", "  - {name: servers, from: [ecs-1], to: ecs-2}\ndrills:")
    with pytest.raises(InvalidConfig, match="two measures are called servers"):
        read(tmp_path, twice)
