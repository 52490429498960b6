"""``dataplane.service`` under a systemd that really boots: the agent over boots, hangs and wrong files."""

from pathlib import Path

import pytest

from tests.systemd.container import CHECKOUT, Container, why_not

REASON = why_not()
pytestmark = pytest.mark.skipif(bool(REASON), reason=REASON or "can boot")

INSTALL = f"""\
ip link add eth-foreign type veth peer name eth-foreign-2  # a network of the machine's own, not to be touched
{CHECKOUT}/scripts/install; echo "install: $?"
{CHECKOUT}/scripts/install | grep -c '^installed'
echo "enabled: $(systemctl is-enabled dataplane)"
echo "before: $(systemctl is-active dataplane)"
cp /etc/dataplane/network.yaml.example /etc/dataplane/network.yaml
echo end of check
"""
TOOLS = """\
export PATH=$PATH:/usr/local/bin
ping_it() { dataplane exec front -- ping -c1 -W2 10.3.1.10 >/dev/null 2>&1 && echo passes || echo fails; }
pid() { systemctl show -P MainPID dataplane; }
"""
LOOK = f"""\
{TOOLS}
echo "unit: $(systemctl is-active dataplane) $(systemctl show -P StatusText dataplane | cut -d';' -f1)"
echo "namespaces: $(ip netns list | cut -d' ' -f1 | sort | xargs)"
echo "mounts: $([ $(readlink /proc/$(pid)/ns/mnt) = $(readlink /proc/1/ns/mnt) ] && echo shared)"
echo "ping: $(ping_it)"
dataplane status >/dev/null 2>&1; echo "status: $?"
systemctl reload dataplane; echo "reload: $?"
systemctl stop dataplane; echo "stop: $?"
echo "ping after stop: $(ping_it)"
systemctl start dataplane; echo "start: $?"
journalctl -b -u dataplane -o cat --no-pager DATAPLANE_PEER_UID=0 | sed 's/ by .*: / /'
echo end of check
"""
IS_BACK = """\
unit: active as the files say
namespaces: dp-i-books dp-i-front dp-vpc-ledger dp-vpc-web
mounts: shared
ping: passes
status: 0
reload: 0
stop: 0
ping after stop: passes
start: 0
reload asked for begins
reload asked for done
end of check
"""
UNINSTALL = f"""\
{TOOLS}
systemctl is-active dataplane
{CHECKOUT}/scripts/uninstall; echo "uninstall: $?"
{CHECKOUT}/scripts/uninstall; echo "again: $?"
ls /etc/dataplane /usr/local/bin
systemctl is-enabled dataplane 2>&1
{CHECKOUT}/.venv/bin/dataplane exec front -- ping -c1 -W2 10.3.1.10 >/dev/null 2>&1 && echo "still forwards"
echo end of check
"""
WRONG = f"""\
{TOOLS}
before=$(pid)
cp /etc/dataplane/network.yaml /tmp/good.yaml
echo 'version: 2' > /etc/dataplane/network.yaml
systemctl reload dataplane 2>/dev/null; echo "reload: $?"
journalctl -b -u dataplane -o cat --no-pager -p err | grep -c 'network.yaml:1:'
echo "unit: $(systemctl is-active dataplane), ping: $(ping_it)"
systemctl restart dataplane; echo "restart: $?"
echo "ping after a restart: $(ping_it)"
cp /tmp/good.yaml /etc/dataplane/network.yaml
systemctl reload dataplane; echo "reload: $?"
rm /etc/dataplane/network.yaml
systemctl restart dataplane; echo "restart without a file: $?, $(systemctl is-active dataplane), ping: $(ping_it)"
echo end of check
"""
REFUSED = """\
reload: 1
unit: active, ping: passes
restart: 0
ping after a restart: passes
reload: 0
restart without a file: 0, active, ping: passes
end of check
"""
HUNG = f"""\
{TOOLS}
dataplane exec front -- ping -q -i 0.05 -c 400 10.3.1.10 > /tmp/pings 2>&1 &
pinger=$!
before=$(pid)
kill -STOP $before
for second in $(seq 30); do
    sleep 1
    [ "$(pid)" != $before ] && [ "$(systemctl is-active dataplane)" = active ] && break
done
echo "back: $(systemctl is-active dataplane), another process: $([ $(pid) != $before ] && echo yes)"
echo "restarts: $(systemctl show -P NRestarts dataplane)"
journalctl -b -u dataplane -o cat --no-pager | grep -o 'Watchdog timeout' | head -1
journalctl -b -u dataplane -o cat --no-pager | grep -o 'File .*agent/daemon/loop.py.* in run' | head -1
wait $pinger
echo "lost: $(grep -o '[0-9.]*% packet loss' /tmp/pings)"
dataplane status >/dev/null 2>&1; echo "status: $?"
echo end of check
"""


def test_the_network_is_back_after_every_boot(tmp_path: Path) -> None:
    container = Container.create(tmp_path)
    installed = container.boot(INSTALL)
    assert "install: 0\n0\nenabled: enabled\nbefore: inactive\n" in installed, "installed once, enabled, not started"
    assert container.boot(LOOK) == IS_BACK
    assert container.boot(LOOK) == IS_BACK, "the second time it finds the state of the first"
    gone = container.boot(UNINSTALL)
    assert gone.startswith("active\n")
    assert "uninstall: 0\nagain: 0\n" in gone
    assert "network.yaml\n" in gone and "network.yaml.example\n" not in gone.partition("uninstall: 0")[2]
    assert "still forwards\n" in gone


def test_wrong_files_are_refused_and_the_network_stays(tmp_path: Path) -> None:
    """Also over a restart: what was applied last is kept, by an agent that has nothing better to follow."""
    container = Container.create(tmp_path)
    container.boot(INSTALL)
    said = container.boot(WRONG)
    counted = said.splitlines()[1]
    assert int(counted) >= 1, "the journal says which line"
    assert said.replace(f"\n{counted}\n", "\n", 1) == REFUSED


def test_without_files_it_waits_for_one(tmp_path: Path) -> None:
    container = Container.create(tmp_path)
    container.boot(INSTALL.replace("cp /etc", "true /etc"))
    said = container.boot(
        f"{TOOLS}\n"
        'echo "unit: $(systemctl is-active dataplane) $(systemctl show -P StatusText dataplane)"\n'
        "cp /etc/dataplane/network.yaml.example /etc/dataplane/network.yaml\n"
        "systemctl reload dataplane; echo reload: $?\n"
        'echo "ping: $(ping_it)"\n'
        "echo end of check\n"
    )
    assert said == "unit: active nothing is applied\nreload: 0\nping: passes\nend of check\n"


def test_a_hung_agent_is_found_by_the_watchdog_and_no_packet_is_lost(tmp_path: Path) -> None:
    container = Container.create(tmp_path)
    container.boot(INSTALL)
    said = container.boot(HUNG)
    assert "back: active, another process: yes\nrestarts: 1\nWatchdog timeout\n" in said
    assert "agent/daemon/loop.py" in said, "SIGABRT says where it hung"
    assert "lost: 0% packet loss\nstatus: 0\n" in said
