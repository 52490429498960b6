"""Damage by hand, of every kind, under one agent: it hears of it and mends it (P3, reliability B15-B19, B26)."""

import subprocess
import time
from collections.abc import Iterable, Iterator

import pytest

from dataplane.kernel import netns
from tests.fakes.networks import PEERED
from tests.netns.agent import AgentHost, unharmed, wait
from tests.netns.fingerprint import differences, fingerprint
from tests.netns.network import hooked, our_namespaces
from tests.netns.objects import run
from tests.netns.test_network_repair import DAMAGE, do_damage, ifname

TC = hooked(PEERED, "tc")
ROUTER = "dp-vpc-vpc-1"
FLOOD = 60_000
"""Routes that come and go while nobody reads: more messages than the queue has room for."""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentHost]:
    """One network and one agent for all kinds of damage, which begin and end with everything in order."""
    there = AgentHost(tmp_path_factory.mktemp("kept"))
    there.start(TC, "--compare-every", "20")
    yield there
    there.close()


@pytest.mark.parametrize("damage", DAMAGE)
def test_19_damage_by_hand_is_mended(kept: AgentHost, damage: str) -> None:
    """P3: what the kernel tells of within 2 s on a quiet machine; printed."""
    kept.must_apply(TC)  # and forget how often this was mended before
    clean, newest = fingerprint(our_namespaces()), kept.newest
    places = {"transit": ifname("dpr"), "port": ifname("dpi")}
    try:
        since = time.monotonic()
        for command in DAMAGE[damage]:
            do_damage(*(word.format(**places, empty="", blank=" ") for word in command.split()))
        kept.wait_for("repaired", newest)
        took = time.monotonic() - since
        kept.wait_until_healthy()
        print(f"{damage}: first repair after {took:.2f} s, all of it after {time.monotonic() - since:.2f} s")
        assert differences(clean, fingerprint(our_namespaces())) == []
        assert kept.network.ping("ecs-1", "192.168.1.10")
    finally:
        subprocess.run(["ip", "netns", "del", "elsewhere"], check=False, capture_output=True)


def test_15_lost_messages_are_followed_by_one_look_at_everything(kept: AgentHost) -> None:
    """More routes change while it hangs than its queue has room for, and one of ours is among them."""
    kept.must_apply(TC)
    newest = kept.newest
    with kept.stopped():
        _batch(ROUTER, (f"route add blackhole 198.18.{n >> 8}.{n & 255} table 77" for n in range(FLOOD)))
        run("ip", "-n", ROUTER, "route", "flush", "table", "77")
        run("ip", "-n", ROUTER, "route", "del", "192.168.0.0/16", "table", "1001")
    (found,) = kept.wait_for("repaired", newest)
    assert "lost messages" in found.cause
    kept.wait_until_healthy()


def test_16_a_link_that_goes_down_and_comes_back_has_its_routes_again(kept: AgentHost) -> None:
    """kernel.md, section 5: they go with the link, without a message, and do not come back by themselves."""
    kept.must_apply(TC)
    clean = fingerprint(our_namespaces())
    with kept.stopped():
        run("ip", "-n", ROUTER, "link", "set", "dev", ifname("dpr"), "down")
        run("ip", "-n", ROUTER, "link", "set", "dev", ifname("dpr"), "up")
        assert differences(clean, fingerprint(our_namespaces())) != []
    wait("the same as before", lambda: differences(clean, fingerprint(our_namespaces())) == [])
    kept.wait_until_healthy()


def test_26_a_namespace_that_loses_its_name_under_a_process_is_made_anew(kept: AgentHost) -> None:
    kept.must_apply(TC)
    newest = kept.newest
    with netns.entered("dp-i-ecs-1"):
        process = subprocess.Popen(["sleep", "61"])
    try:
        run("ip", "netns", "del", "dp-i-ecs-1")
        kept.wait_for("repaired", newest)
        kept.wait_until_healthy()
        assert kept.network.ping("ecs-1", "192.168.1.10")
        assert f"{process.pid} (sleep 61)" in kept.said
    finally:
        process.kill()
        process.wait()


def test_repairs_elsewhere_harm_nobody(kept: AgentHost) -> None:
    """A VPC that has nothing to do with the stream is taken apart under it, and put together again."""
    kept.must_apply(TC)
    newest = kept.newest
    with unharmed():
        run("ip", "netns", "del", "dp-vpc-vpc-3")
        kept.wait_for("repaired", newest)
        kept.wait_until_healthy()


def _batch(namespace: str, lines: Iterable[str]) -> None:
    subprocess.run(["ip", "-n", namespace, "-batch", "-"], input="\n".join(lines), text=True, check=True)
