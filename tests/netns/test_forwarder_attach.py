"""The forwarder on the real kernel: attached by apply, seen when damaged, mended, adopted, gone with destroy."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from dataplane.config import Source, load_sources
from dataplane.datapath import bpffs, forwarder, headers, libbpf, loader
from dataplane.datapath import forwarding_maps as maps
from dataplane.kernel import libc, netns, offload, tc, xdp
from dataplane.model.kernel import Key
from dataplane.plan.action import Verb
from tests.fakes.networks import PEERED
from tests.netns.network import AppliedNetwork, hooked, our_namespaces
from tests.netns.objects import inside, run

VPC = "dp-vpc-vpc-1"
STATE: Key = ("forwarder_state",)
PORT: Key = ("program", VPC, "dpi1")


@pytest.fixture(params=["tc", "xdp"])
def hook(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def applied(network: AppliedNetwork, hook: str) -> AppliedNetwork:
    network.must_apply(hooked(PEERED, hook))
    return network


def planned(network: AppliedNetwork, hook: str) -> dict[Key, Verb]:
    """What an apply would do, without doing it."""
    loaded = load_sources([Source("network.yaml", hooked(PEERED, hook))])
    return {action.object.key: action.verb for action in network.session().plan(loaded).actions}


def programs(namespace: str) -> str:
    shown = inside(namespace, "ip", "link", "show").stdout
    for line in shown.splitlines():
        if ": dp" in line:
            ifname = line.split(": ")[1].split("@")[0]
            shown += inside(namespace, "tc", "filter", "show", "dev", ifname, "ingress").stdout
    return shown


def test_every_router_port_has_one_program_and_nothing_is_left(network: AppliedNetwork, hook: str) -> None:
    network.must_apply(hooked(PEERED, hook))
    for router, ports in (("dp-vpc-vpc-1", 2), ("dp-vpc-vpc-2", 3), ("dp-vpc-vpc-3", 2)):
        shown = programs(router)
        assert shown.count("dataplane_forwarder") == (ports if hook == "tc" else 0), shown
        assert shown.count("prog/xdp") == (ports if hook == "xdp" else 0), shown
    assert network.session().destroy().is_done
    assert not bpffs.is_mounted()
    assert not bpffs.ROOT.exists()
    assert our_namespaces() == []


def test_off_and_on_again_leaves_what_each_needs(network: AppliedNetwork, hook: str) -> None:
    for _ in range(2):
        network.must_apply(hooked(PEERED, hook))
        assert network.ping("ecs-1", "192.168.1.10")
        network.must_apply(hooked(PEERED, "off"))
        assert network.ping("ecs-1", "192.168.1.10")
        assert "dataplane_forwarder" not in programs(VPC)
        assert "xdp" not in programs(VPC)
        assert not bpffs.ROOT.exists()


def test_far_ends_are_prepared_for_xdp_and_given_back(network: AppliedNetwork) -> None:
    def offloads() -> tuple[str, ...]:
        lines = inside("dp-i-ecs-1", "ethtool", "-k", "eth0").stdout.splitlines()
        return tuple(line for line in lines if line.startswith(("generic-receive-offload", "tx-checksumming")))

    if shutil.which("ethtool") is None:
        pytest.skip("needs the package ethtool")
    network.must_apply(hooked(PEERED, "tc"))
    born = offloads()
    network.must_apply(hooked(PEERED, "xdp"))
    assert offloads() == ("tx-checksumming: off", "generic-receive-offload: on")
    inside("dp-i-ecs-1", "ethtool", "-K", "eth0", "gro", "off")
    assert planned(network, "xdp") == {("far_end", "dp-i-ecs-1", "eth0"): Verb.CHANGE}
    network.must_apply(hooked(PEERED, "tc"))
    assert offloads() == born


def take_the_program_off(hook: str) -> None:
    if hook == "tc":
        assert inside(VPC, "tc", "filter", "del", "dev", "dpi1", "ingress").returncode == 0
    else:
        assert inside(VPC, "ip", "link", "set", "dev", "dpi1", "xdp", "off").returncode == 0


def overwrite(name: str, key: int, value: bytes) -> None:
    fd = libbpf.open_pinned(next(bpffs.folder().iterdir()) / name)
    libbpf.update(fd, key.to_bytes(4, "little"), value)
    os.close(fd)


def redirect_a_route(hook: str) -> None:
    """20: a wrong next hop, written straight into the map."""
    folder = next(bpffs.folder().iterdir())
    fd = libbpf.open_pinned(folder / "dp_fib_leaf")
    key, value = next((key, value) for key, value in libbpf.read_all(fd, 4, 4) if value[3] >> 4 == 3)
    libbpf.update(fd, key, bytes([value[0] ^ 1]) + value[1:])
    os.close(fd)


def unpin_a_program(hook: str) -> None:
    (next(bpffs.folder().iterdir()) / (maps.TC if hook == "tc" else maps.XDP)).unlink()


def unpin_a_map(hook: str) -> None:
    (next(bpffs.folder().iterdir()) / "dp_fib").unlink()


DAMAGES: list[tuple[Callable[[str], None], set[Key]]] = [
    (take_the_program_off, {PORT}),
    (redirect_a_route, {STATE}),
    (lambda _: overwrite("dp_port", 1, bytes(24)), {STATE}),
    (lambda _: overwrite("dp_leg", 1, b"\x02"), {STATE}),
    (lambda _: overwrite("dp_leg", 1, b"\x01"), {STATE}),
    (unpin_a_program, {STATE, PORT}),
    (unpin_a_map, {STATE, PORT}),
    (lambda _: libc.umount(str(bpffs.ROOT)), {STATE, PORT}),
]


@pytest.mark.parametrize(
    ("damage", "missed"), DAMAGES, ids=["program", "route", "port", "leg", "verdict", "pin", "map pin", "mount"]
)
def test_20_damage_by_hand_is_seen_and_mended(
    applied: AppliedNetwork, hook: str, damage: Callable[[str], None], missed: set[Key]
) -> None:
    damage(hook)
    assert missed <= planned(applied, hook).keys()
    assert not applied.session().status().is_healthy
    report = applied.apply(hooked(PEERED, hook))
    assert report.is_done
    assert planned(applied, hook) == {}
    assert applied.session().status().is_healthy
    assert applied.ping("ecs-1", "192.168.1.10")


def test_a_foreign_filter_elsewhere_stays_and_one_in_our_place_is_named(network: AppliedNetwork) -> None:
    network.must_apply(hooked(PEERED, "off"))
    inside(VPC, "tc", "qdisc", "add", "dev", "dpi1", "clsact")
    add = ("tc", "filter", "add", "dev", "dpi1", "ingress", "protocol", "all")
    assert inside(VPC, *add, "pref", "7", "u32", "match", "u32", "0", "0").returncode == 0
    network.must_apply(hooked(PEERED, "tc"))
    assert network.ping("ecs-1", "192.168.1.10")
    network.must_apply(hooked(PEERED, "off"))
    assert "pref 7" in programs(VPC)
    assert inside(VPC, *add, "pref", "220", "u32", "match", "u32", "0", "0").returncode == 0
    report = network.apply(hooked(PEERED, "tc"))
    (failure,) = report.failures
    assert failure.is_conflict
    assert "device dpi1 has a filter with priority 220 on its ingress that is not ours" in (failure.error or "")
    assert network.ping("ecs-1", "192.168.1.10"), "the kernel forwards where the forwarder is not"


def test_a_foreign_xdp_program_stays_and_is_named(network: AppliedNetwork) -> None:
    """One of another name: the forwarder's own tc program cannot be told apart otherwise."""
    network.must_apply(hooked(PEERED, "xdp"))
    inside(VPC, "ip", "link", "set", "dev", "dpi1", "xdp", "off")
    with netns.entered(VPC):
        run("ip", "link", "set", "dev", "dpi1", "xdp", "pinned", str(foreign_program()))
    try:
        report = network.apply(hooked(PEERED, "xdp"))
        (failure,) = report.failures
        assert failure.is_conflict
        assert "device dpi1 has an XDP program that is not ours" in (failure.error or "")
    finally:
        inside(VPC, "ip", "link", "set", "dev", "dpi1", "xdp", "off")
        shutil.rmtree(bpffs.ROOT / "foreign")


def foreign_program() -> Path:
    """An XDP program of another name, pinned beside ours."""
    folder = bpffs.ROOT / "foreign"
    folder.mkdir()
    text = "int stranger(struct xdp_md *ctx) { return XDP_PASS; }"
    script = (
        "import sys, ctypes; from bcc import BPF; from bcc.libbcc import lib\n"
        f"fn = BPF(text={text!r}, cflags=['-w']).load_func('stranger', BPF.XDP)\n"
        "lib.bpf_obj_pin.argtypes = (ctypes.c_int, ctypes.c_char_p)\n"
        f"sys.exit(lib.bpf_obj_pin(fn.fd, {str(folder / 'stranger')!r}.encode()))"
    )
    with tempfile.TemporaryDirectory() as tree:
        headers.write_tree(Path(tree))
        subprocess.run(
            ["/usr/bin/python3", "-I", "-c", script], check=True, env={**os.environ, "BCC_KERNEL_SOURCE": tree}
        )
    return folder / "stranger"


def test_a_lost_state_file_costs_no_write_into_what_is_right(applied: AppliedNetwork, hook: str) -> None:
    """Tables get new numbers then, next hops find their slots again; the port programs stay."""
    with forwarder.adopted() as before:
        assert before is not None
        ids = before.program_ids()
    (applied.folder / "state" / "state.sqlite").unlink()
    report = applied.apply(hooked(PEERED, hook))
    assert report.is_done
    kinds = {action.object.key[0] for action in report.planned.actions}
    assert "program" not in kinds and "veth" not in kinds
    assert planned(applied, hook) == {}
    with forwarder.adopted() as after:
        assert after is not None
        assert after.program_ids() == ids
    assert applied.ping("ecs-1", "192.168.1.10")


def test_what_waits_is_not_in_the_fast_path_either(network: AppliedNetwork, hook: str) -> None:
    """The namespace that an instance is to be in is missing: the others forward, and for it the kernel answers."""
    network.must_apply(hooked(PEERED, hook))
    text = hooked(PEERED, hook).replace(
        "instances: {ecs-1: {vswitch: vsw-1, ip: 172.16.1.10}}",
        "instances: {ecs-1: {vswitch: vsw-1, ip: 172.16.1.10}, "
        "late: {vswitch: vsw-1, ip: 172.16.1.20, attach: {namespace: late}}}",
    )
    assert text != hooked(PEERED, hook)
    report = network.apply(text)
    assert [outcome.error for outcome in report.failures if not (outcome.is_conflict or outcome.is_held_back)] == []
    assert report.failures
    assert network.ping("ecs-1", "192.168.1.10")
    done = inside("dp-i-ecs-2", "ping", "-c1", "-W1", "172.16.1.20")
    assert "From 172.16.1.253 icmp_seq=1 Destination Host Unreachable" in done.stdout, "for whom is not there"
    run("ip", "netns", "add", "late")
    try:
        network.must_apply(text)
        assert network.ping("ecs-1", "172.16.1.20")
        network.must_apply(hooked(PEERED, hook))
    finally:
        run("ip", "netns", "delete", "late")


def test_1000_rounds_with_nothing_to_do_write_nothing(
    applied: AppliedNetwork, hook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """22, for BPF: every call that writes is refused. A tenth of the rounds."""

    def refuse(*_: object) -> None:
        raise AssertionError("a write")

    for name in ("update", "update_batch", "delete"):
        monkeypatch.setattr(libbpf, name, refuse)
    for _ in range(100):
        assert applied.apply(hooked(PEERED, hook)).planned.actions == ()


class Killed(BaseException):
    """The process dies here."""


class Deaths:
    """Counts every step that changes something of the forwarder, and dies before one of them, or just after it."""

    STEPS = (
        (libbpf, "update"),
        (libbpf, "update_batch"),
        (libbpf, "delete"),
        (loader, "_compile"),
        (loader, "_remove"),
        (bpffs, "leave"),
        (tc.Hooks, "attach"),
        (tc.Hooks, "detach"),
        (xdp, "_set"),
        (offload, "_perform"),
    )

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.counted, self.at, self.is_late = 0, 0, False
        for owner, name in self.STEPS:
            monkeypatch.setattr(owner, name, self._deadly(getattr(owner, name)))

    def _deadly(self, call: Callable[..., object]) -> Callable[..., object]:
        def deadly(*arguments: object, **more: object) -> object:
            self.counted += 1
            is_here = self.counted == self.at
            if is_here and not self.is_late:
                raise Killed
            found = call(*arguments, **more)
            if is_here:
                raise Killed
            return found

        return deadly

    def arm(self, at: int, *, is_late: bool) -> None:
        self.counted, self.at, self.is_late = 0, at, is_late


@pytest.mark.parametrize(("before", "after"), [("off", "tc"), ("tc", "xdp"), ("xdp", "off")])
def test_2_death_at_every_step_is_mended(
    network: AppliedNetwork, monkeypatch: pytest.MonkeyPatch, before: str, after: str
) -> None:
    """Before every sixth step and after those between; the next apply finishes, the one after has nothing to do."""
    deaths = Deaths(monkeypatch)
    network.must_apply(hooked(PEERED, before))
    deaths.arm(0, is_late=False)
    network.must_apply(hooked(PEERED, after))
    steps = deaths.counted
    assert steps >= 10
    for at in range(1, steps + 1, 3):
        network.must_apply(hooked(PEERED, before))
        deaths.arm(at, is_late=bool(at % 2))
        with pytest.raises(Killed):
            network.apply(hooked(PEERED, after))
        deaths.arm(0, is_late=False)
        assert network.ping("ecs-1", "192.168.1.10"), f"{at} of {steps}: half made, it forwards"
        network.must_apply(hooked(PEERED, after))
        assert network.ping("ecs-1", "192.168.1.10")
