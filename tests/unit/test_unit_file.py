"""``dataplane.service``, ``scripts/install`` and ``scripts/uninstall``, without a running systemd.

What a boot really does with them is in tests/systemd.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from dataplane.config import Source, load_sources

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
UNIT = SCRIPTS / "dataplane.service"

_OWN_MOUNT_NAMESPACE = """
    BindLogSockets BindPaths BindReadOnlyPaths DynamicUser ExecPaths ExtensionDirectories ExtensionImages
    ImportCredential InaccessiblePaths IPCNamespacePath LoadCredential LoadCredentialEncrypted LogNamespace MountAPIVFS
    MountFlags MountImages NoExecPaths PrivateDevices PrivateIPC PrivateMounts PrivateTmp PrivateUsers ProcSubset
    ProtectControlGroups ProtectHome ProtectHostname ProtectKernelLogs ProtectKernelModules ProtectKernelTunables
    ProtectProc ProtectSystem ReadOnlyPaths ReadWritePaths RootDirectory RootImage SetCredential
    SetCredentialEncrypted TemporaryFileSystem
"""
OWN_MOUNT_NAMESPACE = frozenset(_OWN_MOUNT_NAMESPACE.split())
"""Options that give a service a mount namespace of its own, where nobody sees the namespaces that it mounts."""
OWN_NETWORK = frozenset({"PrivateNetwork", "NetworkNamespacePath", "JoinsNamespaceOf"})


def settings(text: str) -> list[tuple[str, str]]:
    """Key and value of every line of a unit."""
    lines = (line.strip() for line in text.splitlines())
    return [
        (key.strip(), value.strip())
        for key, mark, value in (line.partition("=") for line in lines if not line.startswith(("#", ";", "[")))
        if mark
    ]


def forbidden(text: str) -> list[str]:
    return [key for key, _ in settings(text) if key in OWN_MOUNT_NAMESPACE | OWN_NETWORK]


def test_nothing_in_the_unit_gives_it_a_mount_namespace_or_a_network_of_its_own() -> None:
    assert forbidden(UNIT.read_text()) == []


@pytest.mark.parametrize("option", sorted(OWN_MOUNT_NAMESPACE | OWN_NETWORK))
def test_the_checker_sees_every_forbidden_option(option: str) -> None:
    assert forbidden(UNIT.read_text().replace("Type=notify", f"Type=notify\n {option} = yes")) == [option]


def test_it_is_the_agent_and_stopping_it_destroys_nothing() -> None:
    unit = dict(settings(UNIT.read_text()))
    assert (unit["Type"], unit["NotifyAccess"], unit["KillMode"]) == ("notify", "main", "mixed")
    assert unit["ExecStart"] == "/usr/local/bin/dataplane agent /etc/dataplane"
    assert unit["ExecReload"] == "/usr/local/bin/dataplane agent --reload"
    assert not {"ExecStop", "ExecStopPost"} & unit.keys()
    assert "RuntimeDirectory" not in unit, "it would be emptied at a stop: pins, which forward, are in it"
    assert unit["WantedBy"] == "multi-user.target"


def test_it_comes_back_whatever_ends_it_and_the_loop_feeds_its_watchdog() -> None:
    """The watchdog is not to bite between two signs of life: the loop gives one a second, a round one a stage."""
    from dataplane.agent.daemon import loop
    from dataplane.datapath import loader

    unit = dict(settings(UNIT.read_text()))
    assert unit["Restart"] == "always"
    assert unit["WatchdogSec"] == "10s" and loop._TICK_S <= 10 / 3
    assert loop.MOST_STAGE_S > loader._TIMEOUT_S
    tries = int(unit["StartLimitIntervalSec"]) / (int(unit["RestartSec"].removesuffix("s")) + 10)
    assert tries < int(unit["StartLimitBurst"]), "an agent that hangs again and again is started again for ever"


def test_the_prober_may_have_what_it_asks_for() -> None:
    from dataplane.health import privilege

    unit = dict(settings(UNIT.read_text()))
    assert int(unit["LimitRTPRIO"]) == privilege._PRIORITY
    assert unit["LimitMEMLOCK"] == "infinity"
    assert "RestrictRealtime" not in unit


def test_each_capability_is_explained() -> None:
    text = UNIT.read_text()
    bounding = [value for key, value in settings(text) if key == "CapabilityBoundingSet"]
    assert bounding
    for capability in " ".join(bounding).split():
        assert f"\n# {capability} " in text


def test_a_wrong_use_is_not_tried_again() -> None:
    """6 of design section 8, and click's 2. Wrong files end no agent: it keeps what was applied last."""
    from dataplane.errors import PermissionDenied

    kept = dict(settings(UNIT.read_text()))["RestartPreventExitStatus"].split()
    assert {str(PermissionDenied.exit_code), "2"} == set(kept)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs the Debian package systemd")
@pytest.mark.parametrize(
    ("change", "is_right"), [(("", ""), True), (("Type=notify", "Type=notify\nNoSuchOption=1"), False)]
)
def test_systemd_understands_the_unit(tmp_path: Path, change: tuple[str, str], is_right: bool) -> None:
    """The second case is the checker seen red."""
    text = UNIT.read_text().replace("/usr/local/bin/dataplane", "/bin/true")
    unit = tmp_path / "dataplane.service"
    unit.write_text(text.replace(*change) if change[0] else text)
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode == 0 and not done.stderr) == is_right, done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs the Debian package systemd")
def test_it_may_do_no_more_than_it_needs(tmp_path: Path) -> None:
    """The exposure that the unit's own words explain; without its bounding set it would be far above (seen red)."""
    unit = tmp_path / "dataplane.service"
    text = UNIT.read_text().replace("/usr/local/bin/dataplane", "/bin/true")
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=57", str(unit)]
    codes = []
    for change in (text, text.replace("CapabilityBoundingSet=", "#")):
        unit.write_text(change)
        codes.append(subprocess.run(command, capture_output=True, timeout=60, check=False).returncode)
    assert codes[0] == 0 != codes[1]


def test_the_example_is_a_network_that_passes_and_is_not_read_by_itself() -> None:
    from dataplane.config.source import SUFFIXES

    example = SCRIPTS / "network.yaml.example"
    assert load_sources([Source(example.name, example.read_text())]).warnings == ()
    assert example.suffix not in SUFFIXES


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that has been set up."""
    made = tmp_path / "checkout"
    (made / ".venv/bin").mkdir(parents=True)
    (made / ".venv/bin/dataplane").write_text("#!/bin/sh\n")
    (made / ".venv/bin/dataplane").chmod(0o755)
    (made / "scripts").mkdir()
    for name in ("install", "uninstall", "dataplane.service", "network.yaml.example"):
        shutil.copy(SCRIPTS / name, made / "scripts" / name)
    return made


def run(checkout: Path, script: str, *arguments: str, destdir: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a script of a checkout below a root of its own."""
    environment = {**os.environ, "DESTDIR": str(destdir or checkout.parent / "root")}
    command = [str(checkout / "scripts" / script), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file with its mode and content; of a link, where it points."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode & 0o7777,
            bytes(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(folder.rglob("*"))
    }


@pytest.mark.parametrize("prefix", ["/usr/local", "/opt/net-1.0"])
def test_install_twice_is_install_once_and_uninstall_removes_exactly_that(checkout: Path, prefix: str) -> None:
    root = checkout.parent / "root"
    (root / prefix[1:] / "bin").mkdir(parents=True)
    (root / "etc/systemd/system").mkdir(parents=True)
    before = tree(root)
    first = run(checkout, "install", prefix)
    assert first.returncode == 0, first.stderr
    installed = tree(root)
    link = (root / prefix[1:] / "bin/dataplane").readlink()
    assert link == checkout / ".venv/bin/dataplane"
    assert dict(settings((root / "etc/systemd/system/dataplane.service").read_text()))["ExecStart"] == (
        f"{prefix}/bin/dataplane agent /etc/dataplane"
    )
    assert installed["etc/dataplane"][0] == 0o755
    assert installed["etc/systemd/system/dataplane.service"][0] == 0o644
    again = run(checkout, "install", prefix)
    assert (again.returncode, tree(root)) == (0, installed)
    assert "installed" not in again.stdout
    gone = run(checkout, "uninstall", prefix)
    assert gone.returncode == 0, gone.stderr
    assert tree(root) == before
    assert run(checkout, "uninstall", prefix).stdout == ""


def test_a_new_version_replaces_the_unit(checkout: Path) -> None:
    run(checkout, "install")
    unit = checkout.parent / "root/etc/systemd/system/dataplane.service"
    unit.write_text(unit.read_text().replace("RestartSec=1s", "RestartSec=99s"))
    assert "installed" in run(checkout, "install").stdout
    assert "RestartSec=99s" not in unit.read_text()


def test_uninstall_finds_the_prefix_by_itself(checkout: Path) -> None:
    run(checkout, "install", "/opt/net")
    link = checkout.parent / "root/opt/net/bin/dataplane"
    assert link.is_symlink()
    run(checkout, "uninstall")
    assert not link.is_symlink()


def test_your_own_files_stay(checkout: Path) -> None:
    run(checkout, "install")
    mine = checkout.parent / "root/etc/dataplane/network.yaml"
    mine.write_text("version: 1\n")
    assert run(checkout, "uninstall").returncode == 0
    assert [path.name for path in mine.parent.iterdir()] == ["network.yaml"]


@pytest.mark.parametrize("place", ["usr/local/bin/dataplane", "etc/systemd/system/dataplane.service"])
def test_what_is_not_ours_is_named_and_left(checkout: Path, place: str) -> None:
    root = checkout.parent / "root"
    (root / place).parent.mkdir(parents=True)
    (root / place).write_text("somebody else's\n")
    before = tree(root)
    refused = run(checkout, "install")
    assert refused.returncode == 1
    assert f"{root / place} stands where" in refused.stderr
    run(checkout, "uninstall")
    assert tree(root) == before


def test_another_checkouts_installation_is_left_to_that_one(checkout: Path, tmp_path: Path) -> None:
    run(checkout, "install")
    installed = tree(tmp_path / "root")
    other = tmp_path / "other"
    shutil.copytree(checkout, other, symlinks=True)
    refused = run(other, "uninstall")
    assert refused.returncode == 1
    assert str(checkout) in refused.stderr
    assert tree(tmp_path / "root") == installed


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("relative/path",), 2, "usage: scripts/install [PREFIX]"),
        (("/a", "/b"), 2, "usage: scripts/install [PREFIX]"),
        (("/with blank",), 2, "characters that a unit file cannot"),
        (("/with%percent",), 2, "characters that a unit file cannot"),
    ],
)
def test_a_wrong_prefix_is_refused(checkout: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    refused = run(checkout, "install", *arguments)
    assert refused.returncode == code
    assert words in refused.stderr
    assert not (checkout.parent / "root").exists()


def test_without_an_environment_it_says_what_makes_one(checkout: Path) -> None:
    (checkout / ".venv/bin/dataplane").unlink()
    refused = run(checkout, "install")
    assert refused.returncode == 1
    assert "scripts/setup" in refused.stderr
