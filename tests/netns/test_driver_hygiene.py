"""The driver leaves nothing open and comes home, whatever happens; without privileges it says so."""

import os
import subprocess
import sys
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from dataplane.kernel import libc, netns, observe
from dataplane.kernel.features import probe
from dataplane.kernel.netlink import NetlinkSocket, Refusal
from dataplane.model import names
from dataplane.model.kernel import KernelRoute, RouteType, Veth
from dataplane.plan.action import Action, Verb
from tests.netns.objects import (
    ROUTER_A,
    SYSTEM,
    World,
    gateway,
    inside,
    instance,
    open_files,
    process_in_namespace,
    router,
)

HERE = Path("/proc/thread-self/ns/net")


def test_two_hundred_cycles_leave_no_descriptor_open(world: World) -> None:
    """Good and bad actions alike, veths included."""
    desired = [*router(ROUTER_A), *gateway(ROUTER_A), *instance(ROUTER_A, 1, 10)]
    world.create(desired)
    route = KernelRoute(ROUTER_A, SYSTEM, IPv4Network("203.0.113.0/24"), RouteType.BLACKHOLE)
    pair = next(item for item in desired if isinstance(item, Veth))
    bad = [replace(route, nexthop=4711, type=RouteType.UNICAST), replace(route, namespace="dp-vpc-gone")]
    before, home = open_files(), HERE.stat().st_ino
    for _ in range(200):
        world.observe(desired)
        world.driver.perform([Action(verb, item) for verb in (Verb.CREATE, Verb.DELETE) for item in (route, *bad)])
        world.driver.perform([Action(Verb.CREATE, pair)])
    assert open_files() == before
    assert HERE.stat().st_ino == home


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, RuntimeError, OSError])
def test_comes_home_after_an_exception(
    world: World, monkeypatch: pytest.MonkeyPatch, interruption: type[BaseException]
) -> None:
    """Ctrl-C in the middle of a dump: the thread is back where it was, and nothing stays open."""
    world.create(router(ROUTER_A))
    before, home = open_files(), HERE.stat().st_ino

    def interrupt(self: NetlinkSocket, request: bytes) -> None:
        del self, request
        assert HERE.stat().st_ino != home
        raise interruption

    monkeypatch.setattr(NetlinkSocket, "dump", interrupt)
    with pytest.raises(interruption):
        observe.observe([])
    monkeypatch.undo()
    assert open_files() == before
    assert HERE.stat().st_ino == home
    assert world.seen()  # and the next observation reads no answer of the interrupted one


def test_without_privileges_one_sentence(world: World) -> None:
    """Without CAP_NET_ADMIN and CAP_SYS_ADMIN nothing is tried, and the remedy is said."""
    del world
    script = (
        "import ctypes, sys\n"
        "from dataplane.errors import PermissionDenied\n"
        "from dataplane.kernel.driver import KernelDriver\n"
        "import os; os.setgid(65534); os.setuid(65534)\n"
        "from dataplane.kernel import libc\n"
        "for attempt in (KernelDriver().observe, lambda: libc.unshare(libc.CLONE_NEWNET)):\n"
        "    try:\n        attempt()\n"
        "    except PermissionDenied as error:\n        print(error)\n"
    )
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.splitlines() == [
        "this needs CAP_NET_ADMIN and CAP_SYS_ADMIN; run it with sudo",
        "creating a network namespace is not permitted; run it with sudo",
    ], done.stderr


def test_no_actions_are_no_system_calls(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty plan touches nothing, not even to ask for privileges."""
    monkeypatch.setattr(libc, "require_privileges", lambda: pytest.fail("a system call"))
    assert world.driver.perform([]) == []


def test_outcomes_come_in_the_order_of_the_actions(world: World) -> None:
    """Batches by namespace are our own affair."""
    second = "dp-vpc-b"
    world.create([*router(ROUTER_A), *router(second)])
    routes = [
        KernelRoute(name, SYSTEM, IPv4Network(f"203.0.113.{host}/32"), RouteType.BLACKHOLE)
        for host in range(200)
        for name in (ROUTER_A, second, "dp-vpc-gone")
    ]
    outcomes = world.driver.perform([Action(Verb.CREATE, route) for route in routes])
    assert [outcome.action.object for outcome in outcomes] == routes
    assert [outcome.error is None for outcome in outcomes] == [route.namespace != "dp-vpc-gone" for route in routes]
    assert {route.key for route in routes if route.namespace != "dp-vpc-gone"} <= world.seen().keys()


def test_processes_in_a_namespace_are_named(world: World) -> None:
    """`destroy` names who still lives inside: id and command line."""
    world.create(router(ROUTER_A))
    assert netns.processes_in(ROUTER_A) == []
    with netns.entered(ROUTER_A):
        process = subprocess.Popen(["sleep", "60"])
    try:
        assert netns.processes_in(ROUTER_A) == [(process.pid, "sleep 60")]
    finally:
        process.kill()
        process.wait()
    with process_in_namespace() as pid:
        assert [found for found, _ in netns.processes_in(names.pid_reference(pid))] == [pid]


def test_entered_nests_and_comes_back(world: World) -> None:
    """A visit within a visit ends where it began."""
    world.create([*router(ROUTER_A), *router("dp-vpc-b")])
    home = HERE.stat().st_ino
    with netns.entered(ROUTER_A):
        first = HERE.stat().st_ino
        with netns.entered("dp-vpc-b"):
            assert HERE.stat().st_ino not in (home, first)
        assert HERE.stat().st_ino == first
    assert HERE.stat().st_ino == home
    assert inside(ROUTER_A, "true").returncode == 0


def test_probe_tries_every_feature_and_leaves_nothing() -> None:
    """`doctor`: this kernel has what every network needs; what it lacks has a remedy."""
    before, home = open_files(), HERE.stat().st_ino
    features = {feature.name: feature for feature in probe()}
    assert (open_files(), HERE.stat().st_ino) == (before, home)
    assert {name for name, feature in features.items() if feature.is_required and not feature.is_present} == set()
    assert all(feature.remedy and feature.needed_by for feature in features.values())
    assert features["802.1Q"].is_present == Path("/proc/net/vlan").exists()


def test_probe_can_say_no(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checker is seen red: a kernel that refuses every request has nothing but namespaces and files."""

    monkeypatch.setattr(NetlinkSocket, "execute", lambda self, requests: [Refusal(95) for _ in requests])
    present = {feature.name for feature in probe() if feature.is_present}
    assert not present & {"veth", "policy rules", "next-hop objects", "resilient next-hop groups", "VXLAN", "802.1Q"}
