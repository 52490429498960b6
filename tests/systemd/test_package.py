"""``scripts/package``: what is in the wheel and the Debian package; installed, run, upgraded and removed.

systemd does not run there: the unit is the one that tests/systemd/test_boot.py boots with, which is compared.
"""

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from dataplane import __version__
from tests.systemd.container import MADE_WITH, ROOT, base_root, why_not

REASON = why_not(MADE_WITH)

DEPENDS = ("python3", "python3-bpfcc", "libbpf1", "linux-libc-dev", "nftables", "iproute2", "init-system-helpers")
BESIDE = ("iputils-ping",)
NEWER = "999.0"
PING = "ip netns exec dp-i-front ping -c1 -W2 10.3.1.10 >/dev/null && echo passes || echo fails"
_ENTER = """\
set -e
mount -t overlay -o "$1" overlay "$2"
cd "$2"
for each in proc:proc sysfs:sys tmpfs:run tmpfs:tmp; do mount -t "${each%:*}" none "${each#*:}"; done
mount --rbind /dev dev
cp "$3"/*.deb tmp
exec chroot . sh /opt/check.sh
"""


@dataclass(frozen=True)
class Built:
    """What ``scripts/package`` made."""

    wheel: Path
    deb: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    if shutil.which("dpkg-deb") is None:
        pytest.skip("the package dpkg is not installed")
    out = tmp_path_factory.mktemp("dist")
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHON": sys.executable, "TMPDIR": str(out)}
    env |= {name: value for name, value in os.environ.items() if name.startswith("PIP_") or "proxy" in name.lower()}
    command = [str(ROOT / "scripts/package"), str(out)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    wheel, deb = map(Path, done.stdout.split())
    assert sorted(path.name for path in out.iterdir()) == sorted([wheel.name, deb.name]), "the build leaves nothing"
    return Built(wheel, deb)


def _carried() -> set[str]:
    """The files that the wheel must have: all of these packages but documents and what Python makes."""
    packages = [ROOT / name for name in ("dataplane", "ebpf", "lab")]
    files = [path.relative_to(ROOT) for package in packages for path in package.rglob("*") if path.is_file()]
    return {str(path) for path in files if path.suffix != ".md" and "__pycache__" not in path.parts}


def test_the_wheel_carries_sources_and_topologies(built: Built) -> None:
    inside = set(zipfile.ZipFile(built.wheel).namelist())
    assert not _carried() - inside
    assert {name for name in inside if name.startswith("tests/")} == set()


def test_the_package_has_its_places(built: Built) -> None:
    inside = _files(built.deb)
    assert {
        "./usr/bin/dataplane",
        "./lib/systemd/system/dataplane.service",
        "./etc/dataplane/network.yaml.example",
        "./usr/share/man/man1/dataplane.1.gz",
        "./usr/share/bash-completion/completions/dataplane",
        "./usr/lib/dataplane/lib/python3.11/site-packages/ebpf/datapath.c",
        "./usr/lib/dataplane/lib/python3.11/site-packages/pyroute2/__init__.py",
    } <= inside
    tops = {"/".join(name.split("/")[:3]) for name in inside if not name.endswith("/")}
    assert tops == {"./usr/bin", "./usr/lib", "./usr/share", "./lib/systemd", "./etc/dataplane"}
    fields = subprocess.run(["dpkg-deb", "-f", built.deb], capture_output=True, text=True).stdout
    assert f"\nVersion: {__version__}\n" in fields
    (depends,) = re.findall(r"^Depends: (.*)$", fields, re.MULTILINE)
    assert {word.split()[0] for word in depends.split(", ")} == set(DEPENDS)


def test_the_unit_is_that_of_scripts_install(built: Built, tmp_path: Path) -> None:
    subprocess.run(["dpkg-deb", "-x", built.deb, tmp_path], check=True)
    unit = (tmp_path / "lib/systemd/system/dataplane.service").read_text()
    own = (ROOT / "scripts/dataplane.service").read_text()
    assert unit == own.replace("/usr/local/bin/dataplane", "/usr/bin/dataplane")
    assert unit != own


def _files(deb: Path) -> set[str]:
    data = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(data.stdout)) as archive:
        return {member.name for member in archive if not member.isdir()}


SCRIPT = f"""\
export DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin
ip link set lo up
echo "install: $(dpkg -i /tmp/dataplane_{__version__}_*.deb >/tmp/said 2>&1; echo $?)"
echo "version: $(dataplane --version)"
echo "unit: $(cd /etc/systemd/system && ls */dataplane.service)"
cp /etc/dataplane/network.yaml.example /etc/dataplane/network.yaml
echo '# mine' >>/etc/dataplane/network.yaml.example
dataplane apply >/dev/null; echo "apply: $?"
dataplane status >/dev/null; echo "status: $?"
echo "forwarder: $(dataplane status -o json | grep -c '"detail": "hook tc, [1-9]')"
echo "ping: $({PING})"
echo "upgrade: $(dpkg --force-confdef -i /tmp/dataplane_{NEWER}_*.deb >/tmp/said 2>&1; echo $?)"
echo "as before: $(dataplane apply 2>&1 | head -1)"
echo "mine: $(tail -1 /etc/dataplane/network.yaml.example) $(ls /etc/dataplane/network.yaml)"
echo "remove: $(dpkg -r dataplane >/tmp/said 2>&1; echo $?)"
left() {{ echo "left: $(ls -d "$@" 2>/dev/null | xargs)"; }}
left /usr/lib/dataplane /usr/bin/dataplane /etc/dataplane/network.yaml /var/lib/dataplane
echo "ping after: $({PING})"
echo "purge: $(dpkg -P dataplane >/tmp/said 2>&1; echo $?)"
left /usr/lib/dataplane /etc/dataplane/* /var/lib/dataplane /var/cache/dataplane /etc/systemd/system/*/dataplane*
echo "ping after: $({PING})"
"""
SAID = f"""\
install: 0
version: dataplane {__version__}
unit: multi-user.target.wants/dataplane.service
apply: 0
status: 0
forwarder: 1
ping: passes
upgrade: 0
as before: plan: nothing to do, this host is as the files say
mine: # mine /etc/dataplane/network.yaml
remove: 0
left: /etc/dataplane/network.yaml /var/lib/dataplane
ping after: passes
purge: 0
left: /etc/dataplane/network.yaml
ping after: passes
"""


@pytest.mark.skipif(bool(REASON), reason=REASON or "can make a Debian")
def test_installed_run_upgraded_removed(built: Built, tmp_path: Path) -> None:
    """The network stands through all of it; what people wrote stays, what the agent remembers goes with the purge."""
    _repack(built.deb, tmp_path)
    shutil.copy(built.deb, tmp_path)
    upper, work, root = (tmp_path / name for name in ("upper", "work", "root"))
    for folder in (upper / "opt", work, root):
        folder.mkdir(parents=True)
    (upper / "opt/check.sh").write_text(SCRIPT)
    layers = f"lowerdir={base_root((*DEPENDS, *BESIDE))},upperdir={upper},workdir={work}"
    command = ["unshare", "--mount", "--net", "--pid", "--fork", "--propagation", "private", "sh", "-c", _ENTER, "sh"]
    done = subprocess.run([*command, layers, str(root), str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert done.stdout == SAID, done.stderr


def _repack(deb: Path, out: Path) -> None:
    """The same package as a newer version."""
    folder = out / "newer"
    subprocess.run(["dpkg-deb", "-R", deb, folder], check=True)
    control = folder / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: .*$", f"Version: {NEWER}", control.read_text(), flags=re.MULTILINE))
    name = deb.name.replace(__version__, NEWER)
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Znone", "-b", folder, out / name], check=True, capture_output=True
    )
    shutil.rmtree(folder)
