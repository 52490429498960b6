"""What a pinned program is known by, and what is said where there can be none."""

import subprocess
from dataclasses import replace

import pytest

from dataplane.datapath import ability, flatten, forwarder, headers, libbpf, loader
from dataplane.datapath import forwarding_maps as maps
from dataplane.datapath.forwarding_maps import Sizes
from dataplane.datapath.present import grown, known
from dataplane.errors import HostError, PermissionDenied
from dataplane.model.forwarding import BUCKETS, Forwarding, Group, GroupMode

SIZES = Sizes(64, 1024, 64, 16, 16, 4)


def parts(spec: loader.ProgramSpec) -> tuple[str, str]:
    about_maps, _, about_all = spec.fingerprint.partition("-")
    return about_maps, about_all


def test_another_source_goes_on_with_the_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    before = parts(maps.spec(SIZES))
    flat = flatten.flat
    monkeypatch.setattr(flatten, "flat", lambda name: flat(name) + "/* changed */")
    after = parts(maps.spec(SIZES))
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_a_program_without_groups_goes_on_with_the_maps() -> None:
    before, after = parts(maps.spec(SIZES)), parts(maps.spec(replace(SIZES, has_groups=False)))
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_what_a_program_knows_it_goes_on_knowing() -> None:
    """So that no change of a network flips it; only what it does not know yet is another program."""
    plain, grouped = Forwarding(), Forwarding(groups={1: Group(1, "", GroupMode.LOAD_BALANCE, ())})
    without = replace(SIZES, has_groups=False)
    assert [known(state, without).has_groups for state in (plain, grouped)] == [False, True]
    assert [known(state, SIZES).has_groups for state in (plain, grouped)] == [True, True]
    assert grown(replace(without, routes=2048), SIZES) == replace(without, routes=2048), "new maps: as it is wanted"
    assert grown(without, SIZES).has_groups is False


@pytest.mark.parametrize("sizes", [replace(SIZES, routes=2048), replace(SIZES, members=8), replace(SIZES, ports=128)])
def test_other_sizes_are_other_maps(sizes: Sizes) -> None:
    assert parts(maps.spec(SIZES))[0] != parts(maps.spec(sizes))[0]


def test_the_members_of_a_group_are_read_back_from_the_size_of_its_map() -> None:
    """As the loader does with pinned maps, which do not say it otherwise."""
    for members in (4, 8, 64):
        _, value = maps.spec(replace(SIZES, members=members)).maps["dp_group_slot"].sizes
        assert (value - 8) // (8 + BUCKETS) == members


def allow_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarder, "is_here", lambda: False)
    monkeypatch.setattr(libbpf, "try_map", lambda: None)
    monkeypatch.setattr(headers, "write_tree", lambda _: None)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess((), 0))


def test_a_host_with_everything_lacks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    allow_everything(monkeypatch)
    assert ability.forwarder_lacks() == ""


def test_a_forwarder_that_is_there_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever has been uninstalled since: nothing is asked again."""
    allow_everything(monkeypatch)
    monkeypatch.setattr(forwarder, "is_here", lambda: True)
    monkeypatch.setattr(libbpf, "try_map", lambda: pytest.fail("asked"))
    assert ability.forwarder_lacks() == ""


@pytest.mark.parametrize(
    ("owner", "name", "error", "words"),
    [
        (libbpf, "try_map", PermissionDenied("making a BPF map is not permitted; run it with sudo"), "not permitted"),
        (libbpf, "try_map", OSError(38, "Function not implemented"), "this kernel, or whoever guards it, refuses eBPF"),
        (libbpf, "try_map", HostError("libbpf.so.1 is missing; install it"), "libbpf.so.1 is missing; install it"),
        (headers, "write_tree", HostError("linux/bpf.h is missing; install it"), "linux/bpf.h is missing"),
    ],
)
def test_what_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, owner: object, name: str, error: Exception, words: str
) -> None:
    def refuse(*_: object) -> None:
        raise error

    allow_everything(monkeypatch)
    monkeypatch.setattr(owner, name, refuse)
    assert words in ability.forwarder_lacks()


def test_bcc_is_looked_for_where_it_would_be(monkeypatch: pytest.MonkeyPatch) -> None:
    allow_everything(monkeypatch)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess((), 1))
    assert "apt install python3-bpfcc" in ability.forwarder_lacks()
