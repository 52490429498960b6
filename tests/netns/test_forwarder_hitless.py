"""Nothing is lost while the forwarder is exchanged, told something new, or left by whoever made it (reliability A, B).

Beside the packets that arrive, the forwarder's own counters must have seen each of them: the kernel's routes would take
over where the fast path fails, and hide it.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from dataplane.datapath import bpffs, flatten, forwarder
from dataplane.kernel import libc, netns, tc
from dataplane.kernel.driver import KernelDriver
from dataplane.kernel.netlink import NetlinkSocket
from dataplane.model import names
from dataplane.model.forwarding import Reason
from tests.fakes.networks import PEERED, TWO_CIRCUITS
from tests.netns.lines import cable
from tests.netns.load import Load, load
from tests.netns.network import AppliedNetwork, hooked
from tests.netns.objects import inside

RATE = int(os.environ.get("DATAPLANE_LOAD", "50000"))
"""Packets a second: as many as two processors that others use too surely carry. Figures are made with 100,000."""
ROOT = Path(__file__).parents[2]
ROUTE = "{destination: 192.168.0.0/16, next_hop: {router_interface: ri-1}}"
EXTRA = f"{ROUTE}, {{destination: 192.168.1.0/24, next_hop: {{router_interface: ri-1}}}}"


@contextmanager
def loaded() -> Iterator[Load]:
    """Packets from ecs-1 to ecs-2 during the block, each of which must have been counted as forwarded."""
    before = _forwarded()
    with load("dp-i-ecs-1", "dp-i-ecs-2", "192.168.1.10", RATE) as found:
        time.sleep(0.2)
        yield found
        time.sleep(0.2)
    assert found.rate > RATE / 4, "the load was one"
    assert (found.lost, found.repeated) == (0, 0)
    found.counted = _forwarded() - before


def _forwarded() -> int:
    return sum(
        count.packets for (_, reason), count in KernelDriver().traffic().ports.items() if reason is Reason.FORWARDED
    )


def all_took_it(found: Load) -> None:
    """At least one count for each packet: one per router with tc, one in all with XDP."""
    assert found.counted >= found.sent


@pytest.fixture(params=["tc", "xdp"])
def text(request: pytest.FixtureRequest) -> str:
    return hooked(PEERED, request.param)


def test_the_counter_of_what_is_lost_is_right(network: AppliedNetwork) -> None:
    """Red once: a port without an entry loses packets, and the receiver says so."""
    network.must_apply(hooked(PEERED, "tc"))
    with load("dp-i-ecs-1", "dp-i-ecs-2", "192.168.1.10", RATE) as found:
        time.sleep(0.2)
        inside("dp-i-ecs-2", "ip", "link", "set", "dev", "eth0", "down")
        time.sleep(0.05)
        inside("dp-i-ecs-2", "ip", "link", "set", "dev", "eth0", "up")
        time.sleep(0.2)
    assert found.lost > RATE * 0.05 / 2
    assert found.received > 0


def test_5_a_replaced_program_loses_nothing(
    network: AppliedNetwork, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new version by apply, and then 100 exchanges of old and new under all ports."""
    network.must_apply(text)
    flat = flatten.flat
    with ExitStack() as stack:
        with loaded() as found:
            old = stack.enter_context(_opened())
            monkeypatch.setattr(flatten, "flat", lambda name: flat(name) + "/* another version */\n")
            report = network.apply(text)
            assert report.is_done
            kinds = {action.object.key[0] for action in report.planned.actions}
            assert kinds == {"forwarder_state", "program"}
            new = stack.enter_context(_opened())
            assert old.program_ids() != new.program_ids()
            if "tc" in text:
                for turn in range(100):
                    _put_everywhere((old, new)[turn % 2])
        all_took_it(found)


@contextmanager
def _opened() -> Iterator[forwarder.Forwarder]:
    with forwarder.adopted() as present:
        assert present is not None
        yield present


def _put_everywhere(program: forwarder.Forwarder) -> None:
    for router in ("dp-vpc-vpc-1", "dp-vpc-vpc-2"):
        with netns.entered(router), NetlinkSocket() as socket:
            hooks = tc.Hooks(socket, tc.FORWARDER)
            for ifindex in hooks.holders():
                hooks.attach(ifindex, "port", tc.Hook.INGRESS, program.program("tc"))


def test_a_changed_route_loses_nothing(network: AppliedNetwork, text: str) -> None:
    more = text.replace(ROUTE, EXTRA)
    assert more != text
    network.must_apply(text)
    with loaded() as found:
        for turn in range(10):
            assert network.apply((more, text)[turn % 2]).is_done
    all_took_it(found)


def test_a_changed_group_loses_nothing(network: AppliedNetwork) -> None:
    """One circuit after the other is suspended and comes back under a flow to the data centre: on each cable together
    all of it arrives."""
    text = hooked(TWO_CIRCUITS, "tc")
    ways = [text.replace(f"vbr: vbr-{n}", f"vbr: vbr-{n}, state: suspended") for n in (1, 2)]
    assert text not in ways
    with cable("eth1", "idc", "up0"), cable("eth2", "idc-2", "up0"):
        network.must_apply(text)
        for vbr, cpe in (("vbr-1", "10.10.10.2"), ("vbr-2", "10.10.11.2")):
            line = next(name for name in links(f"dp-vbr-{vbr}") if name.startswith("dpv"))
            inside(f"dp-vbr-{vbr}", "ip", "neigh", "replace", cpe, "lladdr", "02:00:00:00:00:99", "dev", line)
        before = arrived("idc") + arrived("idc-2")
        with load("dp-i-ecs-1", "", "172.16.0.1", RATE) as found:
            time.sleep(0.2)
            for way in (*ways, *ways):
                assert network.apply(way).is_done
                assert network.apply(text).is_done
            time.sleep(0.2)
        time.sleep(0.2)
        assert arrived("idc") > before / 2
        assert arrived("idc-2") > before / 2
        assert arrived("idc") + arrived("idc-2") - before >= found.sent
        assert network.session().destroy().is_done


def test_a_first_group_loses_nothing(network: AppliedNetwork) -> None:
    """A network without groups has a program without them: the one that knows them takes its place, with its maps."""
    text = hooked(TWO_CIRCUITS, "tc")
    single = text.replace("{active_standby: {active: ri-a1, standby: ri-a2}}", "{router_interface: ri-a1}")
    assert single != text
    with cable("eth1", "idc", "up0"), cable("eth2", "idc-2", "up0"):
        network.must_apply(single)
        line = next(name for name in links("dp-vbr-vbr-1") if name.startswith("dpv"))
        inside("dp-vbr-vbr-1", "ip", "neigh", "replace", "10.10.10.2", "lladdr", "02:00:00:00:00:99", "dev", line)
        before, without = arrived("idc"), _folder()
        with load("dp-i-ecs-1", "", "172.16.0.1", RATE) as found:
            time.sleep(0.2)
            assert network.apply(text).is_done
            left = _left_to_the_kernel()
            time.sleep(0.2)
            assert _left_to_the_kernel() == left
        time.sleep(0.2)
        assert arrived("idc") - before >= found.sent > RATE / 10
        known = _folder()
        assert known[0] == without[0], "the maps"
        assert known[1] != without[1], "the programs"
        assert network.apply(single).is_done
        assert _folder() == known, "what a program knows it goes on knowing"
        assert network.session().destroy().is_done


def _folder() -> tuple[str, str]:
    """Of the forwarder's pins, the hash of the maps and the hash of all."""
    (folder,) = bpffs.folder().glob("datapath-*")
    _, about_maps, about_all = folder.name.split("-")
    return about_maps, about_all


def _left_to_the_kernel() -> int:
    ports = KernelDriver().traffic().ports.items()
    return sum(count.packets for (_, reason), count in ports if reason is Reason.KERNEL_ONLY)


def links(namespace: str) -> dict[str, int]:
    """Interface -> frames that it has received."""
    shown = json.loads(inside(namespace, "ip", "-s", "-j", "link", "show").stdout)
    return {one["ifname"]: one["stats64"]["rx"]["packets"] for one in shown}


def arrived(namespace: str) -> int:
    return links(namespace)["up0"]


def test_larger_maps_lose_nothing(network: AppliedNetwork, text: str) -> None:
    """More routes than there is room for: other maps, another program."""
    routes = [ROUTE] + [
        f"{{destination: 192.168.{n // 32}.{n % 32 * 8}/30, next_hop: {{router_interface: ri-1}}}}"
        for n in range(64, 4264)
    ]
    quota = "version: 1\nquotas: {custom_routes_per_table: 5000}\n"
    larger = text.replace(ROUTE, ", ".join(routes)).replace("version: 1\n", quota, 1)
    assert larger != text
    network.must_apply(text)
    before = {path.name for path in bpffs.folder().iterdir()}
    with loaded():
        assert network.apply(larger).is_done
    assert before.isdisjoint(path.name for path in bpffs.folder().iterdir())
    assert _forwarded() > 0, "counters come along"


def test_1_sigkill_at_any_moment_loses_nothing(network: AppliedNetwork, text: str, tmp_path: Path) -> None:
    """An apply that changes something is killed ever later; the last one is let through."""
    more = text.replace(ROUTE, EXTRA)
    network.must_apply(text)
    file = tmp_path / "network.yaml"
    folders = ("--state-dir", str(network.folder / "state"), "--run-dir", str(network.folder / "run"))
    with loaded() as found:
        for turn in range(20):
            file.write_text((more, text)[turn % 2])
            command = [sys.executable, "-m", "dataplane", *folders, "apply", str(file)]
            process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.25 + 0.02 * turn)
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert network.apply(text).is_done
    all_took_it(found)
    assert network.apply(text).planned.actions == ()


def test_10_without_pins_it_goes_on_and_is_pinned_again(network: AppliedNetwork, text: str) -> None:
    network.must_apply(text)
    with loaded():
        shutil.rmtree(bpffs.folder())
        time.sleep(0.1)
        assert network.apply(text).is_done
        assert network.apply(text).planned.actions == ()
        libc.umount(str(bpffs.ROOT))
        time.sleep(0.1)
        assert network.apply(text).is_done
    assert network.apply(text).planned.actions == ()


def test_8_hooks_are_exchanged_without_a_loss(network: AppliedNetwork) -> None:
    """From one hook to another, and to the kernel alone and back.

    But for the very first time at tc, when the device gets its clsact, for which the kernel stops it.
    """
    network.must_apply(hooked(PEERED, "tc"))
    with loaded():
        for hook in ("xdp", "tc", "off", "tc", "xdp", "off", "xdp", "tc"):
            assert network.apply(hooked(PEERED, hook)).is_done


def test_9_a_port_made_anew_has_its_program(network: AppliedNetwork, text: str) -> None:
    network.must_apply(text)
    port = names.port_ifname("i", 1)
    inside("dp-vpc-vpc-1", "ip", "link", "delete", "dev", port)
    network.must_apply(text)
    assert network.ping("ecs-1", "192.168.1.10")
    with loaded() as found:
        pass
    all_took_it(found)
