"""Queues of a card (R132): set, seen, mended by the next round; a card that cannot keeps nothing else waiting."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataplane.errors import PermissionDenied
from dataplane.kernel import libc
from dataplane.model.kernel import DeviceQueues
from dataplane.plan.action import Verb
from tests.fakes.networks import TWO_CIRCUITS
from tests.netns.network import AppliedNetwork
from tests.netns.objects import World, run

ALL = (1 << 4096) - 1
"""More processors than there are anywhere."""


@pytest.fixture
def card() -> Iterator[str]:
    """A card with up to four queues each way, as `ip` makes it: veths have no combined ones."""
    run("ip", "link", "add", "eth1", "numtxqueues", "4", "numrxqueues", "4", "type", "veth", "peer", "name", "far1")
    run("ip", "link", "set", "eth1", "up")
    yield "eth1"
    run("ip", "link", "delete", "eth1")


def counts(card: str) -> tuple[int, int]:
    """Receive and transmit queues, by the kernel's own list of them: independent of how they were set."""
    names = inside_new_sysfs(f"import os; print(*os.listdir('/sys/class/net/{card}/queues'))").split()
    return sum(name.startswith("rx-") for name in names), sum(name.startswith("tx-") for name in names)


def masks(card: str) -> list[int]:
    script = (
        f"import glob; print(' '.join(open(p).read().strip() for p in "
        f"sorted(glob.glob('/sys/class/net/{card}/queues/rx-*/rps_cpus'))))"
    )
    return [int(text.replace(",", ""), 16) for text in inside_new_sysfs(script).split()]


def set_mask(card: str, queue: int, mask: str) -> None:
    inside_new_sysfs(f"open('/sys/class/net/{card}/queues/rx-{queue}/rps_cpus', 'w').write('{mask}')")


def inside_new_sysfs(script: str) -> str:
    """Run Python where /sys is that of this network namespace, whatever the one of this process is."""
    command = 'umount -l /sys && mount -t sysfs sysfs /sys && exec "$0" -c "$1"'
    return subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", command, sys.executable, script],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def possible() -> int:
    return (1 << int(Path("/sys/devices/system/cpu/possible").read_text().strip().rpartition("-")[2]) + 1) - 1


def test_r132_both_settings_are_made_seen_and_made_again(world: World, card: str) -> None:
    assert counts(card) == (4, 4)
    wanted = DeviceQueues(card, 2, 1)
    assert world.seen([wanted])[wanted.key] == DeviceQueues(card, 4, 0)
    assert world.do(Verb.CHANGE, wanted).error is None
    assert (counts(card), masks(card)) == ((2, 2), [1, 1])
    assert world.seen([wanted])[wanted.key] == wanted
    # Somebody else's hand: one queue of two, and then their number.
    set_mask(card, 1, "0")
    assert world.seen([wanted])[wanted.key] == DeviceQueues(card, 2, 0)
    assert world.do(Verb.CHANGE, DeviceQueues(card, 4)).error is None
    assert world.do(Verb.CHANGE, wanted).error is None
    assert (counts(card), masks(card)) == ((2, 2), [1, 1])


def test_r132_what_nobody_asks_for_stays(world: World, card: str) -> None:
    assert world.do(Verb.CREATE, DeviceQueues(card, rps_cpus=1)).error is None
    assert (counts(card), masks(card)) == ((4, 4), [1, 1, 1, 1])
    assert world.do(Verb.CHANGE, DeviceQueues(card, combined=3)).error is None
    assert (counts(card), masks(card)) == ((3, 3), [1, 1, 1])
    # Processors that the machine has not: what can be set is set, and that is as wanted.
    everyone = DeviceQueues(card, rps_cpus=ALL)
    assert world.do(Verb.CHANGE, everyone).error is None
    assert masks(card) == [possible()] * 3
    assert world.seen([everyone])[everyone.key] == everyone
    # Not ours: nothing is given back.
    assert world.do(Verb.DELETE, everyone).error is None
    assert (counts(card), masks(card)) == ((3, 3), [possible()] * 3)


def test_r132_a_card_that_cannot_says_so_and_the_rest_goes_on(world: World, card: str) -> None:
    """More queues than there are: the other setting is made all the same."""
    refused = world.do(Verb.CREATE, DeviceQueues(card, 8, 1)).error
    assert refused is not None and "eth1 has at most 4 queues, and combined: asks for 8" in refused
    assert (counts(card), masks(card)) == ((4, 4), [1, 1, 1, 1])
    absent = DeviceQueues("eth9", 2, 1)
    assert absent.key not in world.seen([absent])
    refused = world.do(Verb.CREATE, absent).error
    assert refused is not None and "there is no interface eth9 here" in refused
    refused = world.do(Verb.CREATE, DeviceQueues("lo", 2)).error
    assert refused is not None and "the driver of lo has no queues to set" in refused


def test_where_sysfs_cannot_be_opened_anew_the_mounted_one_serves(
    world: World, card: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container that may not mount; its own /sys is of its namespace."""

    def refuse(kind: str) -> int:
        raise PermissionDenied(f"opening a {kind}")

    monkeypatch.setattr(libc, "open_filesystem", refuse)
    outcome = world.do(Verb.CREATE, DeviceQueues("lo", rps_cpus=1))
    assert outcome.error is None
    monkeypatch.undo()
    assert world.seen([DeviceQueues("lo", rps_cpus=1)])["device_queues", "", "lo"] == DeviceQueues("lo", rps_cpus=1)


def test_r132_of_a_network(network: AppliedNetwork, card: str) -> None:
    """Applied and repaired like everything else; a line whose card cannot is named, and the other one is built."""
    run("ip", "link", "add", "eth2", "numtxqueues", "1", "numrxqueues", "1", "type", "veth", "peer", "name", "far2")
    run("ip", "link", "set", "eth2", "up")  # a real 802.1Q link asks for it
    queues = {"eth1": "{combined: 2, rps_cpus: 1}", "eth2": "{combined: 4}"}
    text = TWO_CIRCUITS
    for device, spec in queues.items():
        assert f"device: {device}}}" in text
        text = text.replace(f"device: {device}}}", f"device: {device}, queues: {spec}}}")
    try:
        report = network.apply(text)
        failure, *others = report.failures
        assert others == [], [str(each.error) for each in report.failures]
        assert "eth2 has at most 1 queues" in str(failure.error)
        assert str(failure.action.owner) == "physical_connection pc-2"
        assert (counts(card), masks(card)) == ((2, 2), [1, 1])
        assert "dp-vbr-vbr-2" in run("ip", "netns", "list")
        fewer = text.replace("queues: {combined: 4}", "queues: {combined: 1}")
        assert network.must_apply(fewer).planned.actions == ()
        set_mask(card, 0, "0")
        (mended,) = network.must_apply(fewer).planned.actions
        assert isinstance(mended.object, DeviceQueues)
        # Out of the file: the card stays as it is.
        assert network.must_apply(TWO_CIRCUITS).planned.actions == ()
        assert masks(card) == [1, 1]
    finally:
        run("ip", "link", "delete", "eth2")
