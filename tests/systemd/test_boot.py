"""``dataplane.service`` under a systemd that really boots: the network is back after each start of the machine."""

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
LOOK = """\
export PATH=$PATH:/usr/local/bin
ping_it() { dataplane exec front -- ping -c1 -W2 10.3.1.10 >/dev/null 2>&1 && echo passes || echo fails; }
echo "unit: $(systemctl is-active dataplane) $(systemctl show -P ExecMainStatus dataplane)"
echo "namespaces: $(ip netns list | cut -d' ' -f1 | sort | tr '\\n' ' ')"
echo "ping: $(ping_it)"
dataplane status >/dev/null; echo "status: $?"
systemctl reload dataplane; echo "reload: $?"
systemctl stop dataplane; echo "stop: $?"
echo "ping after stop: $(ping_it)"
systemctl start dataplane; echo "start: $?"
journalctl -u dataplane -o cat --no-pager | grep '^plan:' | tail -1
echo end of check
"""
UNINSTALL = f"""\
export PATH=$PATH:/usr/local/bin
systemctl is-active dataplane
{CHECKOUT}/scripts/uninstall; echo "uninstall: $?"
{CHECKOUT}/scripts/uninstall; echo "again: $?"
ls /etc/dataplane /usr/local/bin
systemctl is-enabled dataplane 2>&1
{CHECKOUT}/.venv/bin/dataplane exec front -- ping -c1 -W2 10.3.1.10 >/dev/null 2>&1 && echo "still forwards"
echo end of check
"""
IS_BACK = """\
unit: active 0
namespaces: dp-i-books dp-i-front dp-vpc-ledger dp-vpc-web 
ping: passes
status: 0
reload: 0
stop: 0
ping after stop: passes
start: 0
plan: nothing to do, this host is as the files say
end of check
"""  # noqa: W291


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


def test_without_files_the_unit_is_skipped_and_a_wrong_file_fails_it_for_good(tmp_path: Path) -> None:
    container = Container.create(tmp_path)
    container.boot(INSTALL.replace("cp /etc", "true /etc"))
    said = container.boot(
        "systemctl show -P ConditionResult dataplane; systemctl is-failed dataplane\n"
        "echo 'version: 2' > /etc/dataplane/network.yml\n"
        "systemctl start dataplane 2>/dev/null; echo start: $?\n"
        "sleep 0.5; systemctl is-active dataplane; systemctl show -P NRestarts -P ExecMainStatus dataplane\n"
        "echo end of check\n"
    )
    assert said == "no\ninactive\nstart: 1\nfailed\n0\n4\nend of check\n"
