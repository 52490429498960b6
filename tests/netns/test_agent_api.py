"""What is asked of a running agent: files that change, reloads without end, applies that fail half-way (reliability D).

Traffic goes on meanwhile, but for what was asked to stop.
"""

import signal
import threading
import time
from pathlib import Path

import pytest

from dataplane.config import InvalidConfig
from dataplane.errors import DataplaneError
from tests.fakes.networks import PEERED
from tests.netns.agent import AgentHost, unharmed, wait
from tests.netns.fingerprint import differences, fingerprint
from tests.netns.network import hooked, our_namespaces
from tests.netns.objects import run

TC = hooked(PEERED, "tc")
MORE = TC.replace("172.16.1.10}}", "172.16.1.10}, ecs-8: {vswitch: vsw-1, ip: 172.16.1.8}}")
SECOND_CONNECTION = (
    "  pcx-2: {initiator: {router_interface: ri-3, vpc: vpc-2}, acceptor: {router_interface: ri-4, vpc: vpc-3}}\n"
)
ROUTES_OF_IT = (
    "          - {destination: 10.0.0.0/8, next_hop: {router_interface: ri-3}}\n",
    "          - {destination: 192.168.0.0/16, next_hop: {router_interface: ri-4}}\n",
    "          - {destination: 172.16.0.0/12, next_hop: {router_interface: ri-4}}\n",
)
RELOADS = 100


def test_40_an_apply_that_fails_half_way_is_held_and_done_later(host: AgentHost) -> None:
    """A foreign namespace stands where a new VPC's belongs: all others are as asked for, and nothing is lost."""
    alone = TC[: TC.index("  vpc-3:")] + TC[TC.index("peering_connections:") : TC.index("  pcx-2")]
    host.start(alone.replace(ROUTES_OF_IT[0], ""))
    run("ip", "netns", "add", "dp-vpc-vpc-3")
    try:
        with unharmed():
            report = host.apply(MORE).report
            assert not report.is_done
            assert any(failure.is_conflict for failure in report.failures)
            assert host.network.ping("ecs-8", "192.168.1.10"), "what does not need it is there"
            wait("a second try", lambda: len(host.events(what="failed")) > 1)
            run("ip", "netns", "del", "dp-vpc-vpc-3")
            host.wait_until_healthy()
            assert host.network.ping("ecs-2", "10.0.1.10")
    finally:
        if Path("/run/netns/dp-vpc-vpc-3").exists() and not host.client.status().is_healthy:
            run("ip", "netns", "del", "dp-vpc-vpc-3")


def test_41_reloads_without_end_are_one(host: AgentHost) -> None:
    """By signal and over the API at once, within a second: the last text is in force after at most two applies."""
    host.start(TC)
    newest = host.newest
    answers: list[str] = []

    def ask() -> None:
        for _ in range(RELOADS // 10):
            host.process.send_signal(signal.SIGHUP)
            answers.append(host.client.reload().text)

    with unharmed():
        host.file.write_text(MORE)
        threads = [threading.Thread(target=ask) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        host.wait_until_healthy()
    assert len(answers) == RELOADS
    assert 1 <= len(host.events(newest, "applied")) <= 2
    assert host.network.ping("ecs-8", "192.168.1.10")


def test_a_bad_file_is_refused_with_its_line_and_a_good_one_is_taken(host: AgentHost) -> None:
    """P6: without being told; what was in force stays in force until then."""
    host.start(TC)
    clean, newest = fingerprint(our_namespaces()), host.newest
    with unharmed():
        lines = TC.splitlines()
        number = next(place for place, line in enumerate(lines, start=1) if "vpc-2:" in line)
        host.file.write_text(TC.replace("  vpc-2:\n    account: corp", "  vpc-2:\n    account: nobody", 1))
        (refused,) = host.wait_for("refused", newest)
        assert f"network.yaml:{number + 1}:" in refused.cause
        assert f"network.yaml:{number + 1}:" in host.said
        with pytest.raises(InvalidConfig):
            host.client.reload()
        time.sleep(1.5)
        assert differences(clean, fingerprint(our_namespaces())) == []
        assert host.events(newest, "applied") == []
        host.file.write_text(MORE)
        host.wait_for("applied", newest)
    assert host.network.ping("ecs-8", "192.168.1.10")


def test_a_file_that_goes_changes_nothing(host: AgentHost) -> None:
    host.start(TC)
    clean = fingerprint(our_namespaces())
    host.file.unlink()
    time.sleep(1.5)
    host.process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert differences(clean, fingerprint(our_namespaces())) == []
    host.file.write_text(MORE)
    wait("the new file", lambda: "dp-i-ecs-8" in our_namespaces())


def test_a_file_of_other_hosts_is_refused(host: AgentHost) -> None:
    """Which of them this one is cannot be told: an agent that runs refuses it, as any other bad file."""
    host.start(TC)
    newest = host.newest
    host.file.write_text(
        TC.replace("version: 1\n", "version: 1\nhosts: {other: {address: 172.20.0.9, device: e0}}\n", 1)
    )
    (refused,) = host.wait_for("refused", newest)
    assert "other" in refused.cause
    assert host.client.status().is_healthy


def test_what_a_caller_applied_outlives_a_restart_with_old_files(host: AgentHost) -> None:
    """Files that were taken before are old news; a caller's word is the last one until they change."""
    host.start(TC)
    host.must_apply(MORE)
    host.kill()
    host.start()
    assert "dp-i-ecs-8" in our_namespaces()
    host.file.write_text(TC + "# touched\n")
    wait("the file", lambda: "dp-i-ecs-8" not in our_namespaces())


def test_42_a_connection_that_goes_takes_its_own_traffic_and_no_other(host: AgentHost) -> None:
    host.start(TC)
    less = TC.replace(SECOND_CONNECTION, "")
    for route in ROUTES_OF_IT:
        less = less.replace(route, "")
    less = less.replace("        routes:\npeering", "        routes: []\npeering")
    assert host.network.ping("ecs-3", "192.168.1.10")
    with unharmed():
        since = time.monotonic()
        host.must_apply(less)
        assert not host.network.ping("ecs-3", "192.168.1.10")
        print(f"stopped after {time.monotonic() - since:.2f} s")
        host.must_apply(TC)
        assert host.network.ping("ecs-3", "192.168.1.10")


def test_destroy_over_the_api_leaves_the_agent_with_nothing_and_ready(host: AgentHost) -> None:
    host.start(TC)
    assert host.client.destroy().is_done
    assert our_namespaces() == []
    time.sleep(1.5)
    assert our_namespaces() == [], "the file is old news"
    host.must_apply(TC)
    assert host.network.ping("ecs-1", "192.168.1.10")


def test_questions_go_on_while_it_works(host: AgentHost) -> None:
    """Nobody is answered wrongly or not at all while others have it apply, mend and look."""
    host.start(TC)
    errors: list[str] = []
    has_ended = threading.Event()

    def ask() -> None:
        while not has_ended.is_set():
            try:
                host.client.status()
                host.client.health()
            except DataplaneError as error:
                errors.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(6):
            host.must_apply((MORE, TC)[turn % 2])
            run("ip", "-n", "dp-vpc-vpc-1", "nexthop", "flush")
    finally:
        has_ended.set()
        for thread in threads:
            thread.join()
    assert errors == []
    host.wait_until_healthy()
