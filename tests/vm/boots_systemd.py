"""The Debian package in a machine with Debian's own kernel and systemd: its unit's whole life, and a boot after.

Not collected by itself, for it takes minutes in emulation: ``scripts/test vm-systemd`` names it. The same unit under a
systemd on the host's kernel: tests/systemd/test_boot.py; the package without systemd: tests/systemd/test_package.py.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.systemd.container import MADE_WITH, MOUNT_AND_RUN, ROOT, base_root, why_not
from tests.systemd.test_package import BESIDE, DEPENDS, Built, built

__all__ = ["built"]  # a fixture

REASON = why_not({**MADE_WITH, "qemu-system-x86_64": "qemu-system-x86", "busybox": "busybox-static"})
pytestmark = pytest.mark.skipif(bool(REASON), reason=REASON or "can boot")

INSIDE = (*DEPENDS, *BESIDE, "systemd", "systemd-sysv", "dbus", "kmod")
"""What is in the machine besides our package and the essential ones; kmod loads what the kernel asks for."""

SLOW = "[Service]\nWatchdogSec=60s\n"
"""Ten seconds, as the unit has it, are less than a reader of files needs to start in emulation."""

TOOLS = """\
export DEBIAN_FRONTEND=noninteractive
in_front() { ip netns exec dp-i-front "$@"; }
ping_it() { in_front ping -c1 -W5 "${1:-10.3.1.10}" >/dev/null 2>&1 && echo passes || echo fails; }
pid() { systemctl show -P MainPID dataplane; }
unit() { echo "$(systemctl is-active dataplane), $(systemctl is-enabled dataplane)"; }
forwarder() { dataplane status -o json | grep -c '"detail": "hook tc, [1-9]'; }
"""
LIFE = f"""\
{TOOLS}
echo "install: $(dpkg --force-unsafe-io -i /opt/dataplane_*.deb >/opt/said 2>&1; echo $?)"
echo "unit: $(unit)"
cp /etc/dataplane/network.yaml.example /etc/dataplane/network.yaml
systemctl start dataplane; echo "start: $?"
echo "unit: $(unit), forwarder: $(forwarder)"
ip netns exec dp-i-front ping -q -i 0.1 10.3.1.10 >/opt/pings 2>&1 &  # not by the function: its shell hears no SIGINT
pinger=$!
sed -i 's/^      books: .*/&\\n      pens: {{vswitch: ledger-a, ip: 10.3.1.11}}/' /etc/dataplane/network.yaml
systemctl reload dataplane; echo "reload: $?, the new instance: $(ping_it 10.3.1.11)"
echo 'version: 2' >/etc/dataplane/wrong.yaml
systemctl reload dataplane 2>/dev/null; echo "reload of a wrong file: $?"
rm /etc/dataplane/wrong.yaml
before=$(pid)
kill -STOP "$before"
for second in $(seq 240); do
    sleep 1
    [ "$(pid)" != "$before" ] && [ "$(systemctl is-active dataplane)" = active ] && break
done
echo "after the watchdog: $(unit), restarts: $(systemctl show -P NRestarts dataplane)"
journalctl -b -u dataplane -o cat --no-pager | grep -o 'Watchdog timeout' | head -1
systemctl stop dataplane; echo "stop: $?, the instances: $(ping_it)"
systemctl start dataplane; echo "start: $?"
systemctl restart dataplane; echo "restart: $?"
dataplane status >/dev/null; echo "status: $?"
kill -INT "$pinger"; wait "$pinger"
grep -o '[0-9.]*% packet loss' /opt/pings
"""
LIVED = """\
install: 0
unit: inactive, enabled
start: 0
unit: active, enabled, forwarder: 1
reload: 0, the new instance: passes
reload of a wrong file: 1
after the watchdog: active, enabled, restarts: 1
Watchdog timeout
stop: 0, the instances: passes
start: 0
restart: 0
status: 0
0% packet loss
"""
AGAIN = f"""\
{TOOLS}
echo "unit: $(unit), restarts: $(systemctl show -P NRestarts dataplane), forwarder: $(forwarder)"
echo "namespaces: $(ip netns list | cut -d' ' -f1 | sort | xargs)"
echo "the instances: $(ping_it) $(ping_it 10.3.1.11)"
echo "failed: $(systemctl --failed --quiet --no-legend)"
journalctl -b -1 -u dataplane -o cat --no-pager | tail -1
"""
BACK = """\
unit: active, enabled, restarts: 0, forwarder: 1
namespaces: dp-i-books dp-i-front dp-i-pens dp-vpc-ledger dp-vpc-web
the instances: passes passes
failed: 
Stopped dataplane.service - dataplane: the private network of /etc/dataplane.
"""  # noqa: W291


def test_the_packaged_unit_lives_and_is_back_after_a_boot(built: Built, tmp_path: Path) -> None:
    """Traffic runs from the first start to the last restart, and none is lost (R106): only the boot takes it away."""
    (tmp_path / "upper/opt").mkdir(parents=True)
    shutil.copy(built.deb, tmp_path / "upper/opt")
    addition = tmp_path / "upper/etc/systemd/system/dataplane.service.d/slow.conf"
    addition.parent.mkdir(parents=True)
    addition.write_text(SLOW)
    lived = _boot(tmp_path, LIFE)
    sent = int((tmp_path / "upper/opt/pings").read_text().partition(" packets transmitted")[0].split()[-1])
    assert lived == LIVED
    assert sent > 200, "it ran all the time"
    assert _boot(tmp_path, AGAIN) == BACK


def _boot(folder: Path, script: str) -> str:
    """Boot, run a script when everything is up, power off; the folder keeps what is written for the next boot.

    Returns:
        What the script said.
    """
    upper, work, root = (folder / name for name in ("upper", "work", "root"))
    for path in (upper, work, root):
        path.mkdir(exist_ok=True)
    (upper / "opt/check.sh").write_text(script)
    layers = f"lowerdir={base_root(INSIDE)},upperdir={upper},workdir={work}"
    machine = [sys.executable, "-m", "lab.vm", "--cpus", "1", "--timeout", "1500", "--boot", str(root)]
    done = subprocess.run(
        [
            *("unshare", "--mount", "--propagation", "private", "sh", "-c", MOUNT_AND_RUN, "sh", layers, str(root)),
            *(*machine, "--", "sh", "/opt/check.sh"),
        ],
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
