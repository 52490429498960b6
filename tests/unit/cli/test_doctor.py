"""What doctor says of a host, on a /proc of our own making."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from dataplane.cli import host_checks as checks_module
from dataplane.cli.host_checks import Check, Verdict, host_checks
from dataplane.cli.main import cli
from dataplane.kernel.features import Feature

ALL_CAPABILITIES = "000001ffffffffff"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A host with all rights, its neighbour table as the kernel leaves it, and unprivileged BPF off."""
    for name, text in {
        "self/status": f"Name:\tpython\nCapEff:\t{ALL_CAPABILITIES}\n",
        "sys/net/ipv4/neigh/default/gc_thresh1": "128\n",
        "sys/net/ipv4/neigh/default/gc_thresh2": "512\n",
        "sys/net/ipv4/neigh/default/gc_thresh3": "1048576\n",
        "sys/kernel/unprivileged_bpf_disabled": "2\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def by_name(proc: Path) -> dict[str, Check]:
    return {check.name: check for check in host_checks(proc)}


def test_a_host_with_all_rights(proc: Path) -> None:
    privileges = [check for check in host_checks(proc) if check.area == "privilege"]
    assert len(privileges) == 3
    assert all(check.verdict is Verdict.OK and not check.remedy for check in privileges)


def test_one_missing_capability_is_named(proc: Path) -> None:
    without_net_raw = int(ALL_CAPABILITIES, 16) & ~(1 << 13)
    (proc / "self/status").write_text(f"CapEff:\t{without_net_raw:016x}\n")
    found = by_name(proc)
    assert found["CAP_NET_RAW"].verdict is Verdict.MISSING
    assert "sudo" in found["CAP_NET_RAW"].remedy
    assert found["CAP_NET_ADMIN"].verdict is Verdict.OK


def test_the_neighbour_tables_limits_are_compared_with_what_apply_wants(proc: Path) -> None:
    found = by_name(proc)
    low, high = found["net.ipv4.neigh.default.gc_thresh1"], found["net.ipv4.neigh.default.gc_thresh3"]
    assert (low.verdict, low.found) == (Verdict.OPTIONAL, "128")
    assert "apply raises it" in low.remedy
    assert (high.verdict, high.found, high.remedy) == (Verdict.OK, "1048576", "")


def test_the_limits_are_not_there_in_other_namespaces(proc: Path) -> None:
    for number in "123":
        (proc / f"sys/net/ipv4/neigh/default/gc_thresh{number}").unlink()
    assert not [name for name in by_name(proc) if "gc_thresh" in name]


@pytest.mark.parametrize(("value", "verdict"), [("0", Verdict.OPTIONAL), ("1", Verdict.OK), ("2", Verdict.OK)])
def test_unprivileged_bpf(proc: Path, value: str, verdict: Verdict) -> None:
    (proc / "sys/kernel/unprivileged_bpf_disabled").write_text(value)
    assert by_name(proc)["kernel.unprivileged_bpf_disabled"].verdict is verdict


def test_a_missing_tool_names_its_package(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks_module.shutil, "which", lambda tool, path: None if tool == "ping" else f"/bin/{tool}")
    found = by_name(proc)
    assert (found["ping"].verdict, found["ping"].remedy) == (Verdict.OPTIONAL, "apt install iputils-ping")
    assert (found["ip"].verdict, found["ip"].found) == (Verdict.OK, "/bin/ip")


def test_the_python_packages_are_those_of_our_metadata(proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks_module, "requires", lambda name: ["click>=8", "no-such-thing<2", 'x; extra == "test"'])
    found = {check.name: check.verdict for check in host_checks(proc) if check.area == "python"}
    assert found["click"] is Verdict.OK
    assert found["no-such-thing"] is Verdict.MISSING
    assert "x" not in found


NAMESPACES = Feature("network namespaces", True, "every network", "CONFIG_NET_NS")
GROUPS = Feature("resilient groups", False, "load balancing", "a kernel from 5.13")
VLAN = Feature("802.1Q", False, "VLANs of VBRs", "modprobe 8021q", is_required=False)


@pytest.mark.parametrize(
    ("features", "code", "is_ready"), [((NAMESPACES, VLAN), 0, True), ((NAMESPACES, VLAN, GROUPS), 3, False)]
)
def test_the_verdict_and_the_exit_code(features, code: int, is_ready: bool, proc: Path, monkeypatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("dataplane.cli.doctor.host_checks", lambda: host_checks(proc))
    monkeypatch.setattr("dataplane.kernel.features.probe", lambda: features)
    result = CliRunner().invoke(cli, ["doctor", "-o", "json"])
    document = json.loads(result.stdout)
    assert (result.exit_code, document["is_ready"]) == (code, is_ready)
    kernel = {
        check["name"]: (check["state"], check["remedy"]) for check in document["checks"] if check["area"] == "kernel"
    }
    assert kernel["network namespaces"] == ("ok", "")
    assert kernel["802.1Q"] == ("optional", "modprobe 8021q")
    if not is_ready:
        assert kernel["resilient groups"] == ("missing", "a kernel from 5.13")


def test_without_root_the_kernel_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    result = CliRunner().invoke(cli, ["doctor", "--problems"])
    assert result.exit_code == 3
    assert "run it with sudo to try them" in result.stdout
