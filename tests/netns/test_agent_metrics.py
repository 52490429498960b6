"""What Prometheus finds at a real agent: counters that move with packets, and nothing that traffic could make grow."""

import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.networks import PEERED
from tests.netns.agent import AgentHost, wait
from tests.netns.objects import inside

PINGS = 20


@pytest.fixture
def host(tmp_path: Path) -> Iterator[AgentHost]:
    made = AgentHost(tmp_path)
    try:
        made.start(PEERED, "--metrics", "127.0.0.1:0")
        yield made
    finally:
        made.close()


def scrape(host: AgentHost) -> dict[str, float]:
    """Every series with its value; the address is in the agent's own words, since it chose the port."""
    address = re.search(r"metrics at (\S+)", host.said)
    assert address is not None, host.said
    with urllib.request.urlopen(address[1], timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {series: float(value) for series, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def labels(found: dict[str, float]) -> set[str]:
    """All labels with their values, but for the reasons of frames, of which there are a few dozen for ever."""
    pairs = {pair for series in found for pair in re.findall(r'\w+="[^"]*"', series)}
    return {pair for pair in pairs if not pair.startswith(("reason=", "verdict="))}


def test_r112_counters_move_with_packets(host: AgentHost) -> None:
    before = scrape(host)
    assert inside("dp-i-ecs-1", "ping", "-c", str(PINGS), "-i", "0.01", "-W", "1", "192.168.1.10").returncode == 0
    time.sleep(1.1)  # a scrape within a second of another has that one's text
    after = scrape(host)
    assert labels(after) == labels(before), "traffic makes no labels but reasons"
    moved = {series: after[series] - before.get(series, 0.0) for series in after}

    def of(name: str, *labels: str) -> list[float]:
        return [
            by for series, by in moved.items() if series.startswith(f"{name}{{") and all(x in series for x in labels)
        ]

    assert sum(of("dataplane_connection_packets_total", 'connection="pcx-1"', 'direction="sent"')) >= 2 * PINGS
    assert sum(of("dataplane_connection_packets_total", 'connection="pcx-2"')) == 0
    assert of("dataplane_port_packets_total", 'port="instance/ecs-1"', 'reason="forwarded"') == [PINGS]
    assert not any(by for series, by in moved.items() if 'verdict="drop"' in series)


def test_what_is_mended_is_counted_by_kind(host: AgentHost) -> None:
    since = host.newest
    inside("dp-vpc-vpc-1", "ip", "rule", "del", "pref", "200")
    host.wait_for("repaired", since)
    time.sleep(1.1)
    found = scrape(host)
    assert found['dataplane_repairs_total{kind="rule"}'] == 1
    assert found["dataplane_differences"] == 0
    assert all(found[f'dataplane_scrape_ok{{part="{part}"}}'] for part in ("traffic", "health", "tables", "agent"))


def test_a_scrape_while_the_network_goes_is_whole(host: AgentHost) -> None:
    """The maps are taken away under the reader: what is gone is missing, the rest is there."""
    host.client.destroy()
    wait("an empty network", lambda: not host.client.status().resources)
    time.sleep(1.1)
    found = scrape(host)
    assert not any(series.startswith("dataplane_port_packets_total") for series in found)
    assert sum(value for series, value in found.items() if series.startswith("dataplane_rounds_total")) >= 2
