"""What Vagrant does with a ``Vagrantfile``, without machines: cards, and each machine's script, word for word. To be
run inside a machine: ``python -m tests.lab.machines NAME`` prints the faults of the flows of topology NAME as JSON.

A machine is a simulated host, since scripts make namespaces; FRR is this machine's own. Boxes, provisioners and the
names of cards are not looked at: test_export.py and tests/unit/lab have those.
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from pyroute2 import IPRoute

from lab import pins, runner, topology
from lab.child import in_child
from lab.export.commands import Commands
from lab.export.vagrant import vagrant_text
from lab.host import SimulatedHost, opened, set_up
from lab.model import HOST_NAMESPACE, UNDERLAY
from lab.product import environment
from lab.syscalls import CLONE_NEWNET, in_network, unshare
from tests.lab.containers import READY, stand_in

_FRR = "/usr/lib/frr"
# What the scripts ask systemd for: the daemons that Debian's frr.service starts of itself, and the file that they read.
_SYSTEMCTL = f"""\
#!/bin/sh
[ "$*" = "restart frr" ] || exit 9
for daemon in zebra staticd; do
    [ -e /run/frr/$daemon.pid ] || {_FRR}/$daemon -d -A 127.0.0.1 -i /run/frr/$daemon.pid || exit
done
exec vtysh -b
"""
_FURNISH = """\
for at in /etc/frr /run/frr; do mkdir -p $at; mount -t tmpfs none $at; chown frr:frr $at; done
touch /etc/frr/vtysh.conf
"""
_STOP = "for file in /run/frr/*.pid; do [ -e $file ] && kill $(cat $file); done; true"


def _tables(text: str) -> tuple[Mapping[str, list[tuple[str, str]]], Mapping[str, str]]:
    """Machine -> cards with their networks; machine -> script."""
    machines = re.findall(r'^  "(\S+)" => \[\n((?:    .*\n)*)', text, re.MULTILINE)
    cards = {name: re.findall(r'\["([^"]+)", "\w+", "([^"]+)"', lines) for name, lines in machines}
    return cards, dict(re.findall(r"^  \"(\S+)\" => <<~'SH',\n(.*?)^  SH$", text, re.MULTILINE | re.DOTALL))


def _plug(cards: Mapping[str, list[tuple[str, str]]], spaces: Mapping[str, int], underlay: int, lines: int) -> None:
    """The hypervisor's networks: a bridge for each, in the namespace of the underlay or in that of all lines."""
    ends = [(machine, ifname, network) for machine, there in cards.items() for ifname, network in there]
    for number, network in enumerate(sorted({end[2] for end in ends})):
        with in_network(underlay if network.endswith(UNDERLAY) else lines), IPRoute() as netlink:
            netlink.link("add", ifname=f"net{number}", kind="bridge")
            set_up(f"net{number}")
            (bridge,) = netlink.link_lookup(ifname=f"net{number}")
            for machine, ifname, _ in (end for end in ends if end[2] == network):
                peer = {"ifname": ifname, "net_ns_fd": spaces[machine]}
                netlink.link("add", ifname=machine, kind="veth", peer=peer)
                (port,) = netlink.link_lookup(ifname=machine)
                netlink.link("set", index=port, master=bridge, state="up")
    for machine, ifname, _ in ends:
        with in_network(spaces[machine]):
            set_up(ifname)


def _faults(name: str) -> dict[str, tuple[str, ...]]:
    wanted = topology.load(name)
    pins.begin(wanted.name, wanted.folder)
    cards, scripts = _tables(vagrant_text(wanted, Path.cwd()))
    machines = {machine: SimulatedHost(wanted.name, machine) for machine in scripts}
    for host in machines.values():
        host.make()
    with contextlib.ExitStack() as stack:
        bin = stack.enter_context(tempfile.TemporaryDirectory())
        dataplane = f'#!/bin/sh\nexec {sys.executable} -m dataplane "$@"\n'
        for command, text in {"dataplane": dataplane, "systemctl": _SYSTEMCTL}.items():
            Path(bin, command).write_text(text)
            Path(bin, command).chmod(0o755)

        def run(machine: str, script: str) -> None:
            host = machines[machine]
            variables = environment(host)
            variables["PATH"] = f"{bin}:{variables['PATH']}"
            done = subprocess.run(
                ["sh", "-c", script.replace(Commands(wanted).config, str(wanted.network))],
                env=variables,
                capture_output=True,
                text=True,
                preexec_fn=host.enter,
            )
            assert done.returncode == 0, f"{machine}:\n{script}\n{done.stdout}{done.stderr}"

        spaces = {id: stack.enter_context(opened(host))[HOST_NAMESPACE] for id, host in machines.items()}
        underlay, lines = (stack.enter_context(_hypervisor()) for _ in range(2))
        _plug(cards, spaces, underlay, lines)
        for machine in machines:
            if machine in wanted.hosts:
                words = [sys.executable, "-m", "dataplane", "agent", str(wanted.network)]
                host = machines[machine]
                agent = subprocess.Popen(words, env=environment(host), stderr=subprocess.DEVNULL, preexec_fn=host.enter)
                stack.callback(agent.wait)
                stack.callback(agent.terminate)
            else:
                run(machine, _FURNISH)
                stack.callback(run, machine, _STOP)
        stand_in(wanted, spaces)
        for machine, script in scripts.items():
            run(machine, script)
            run(machine, script)  # as at the next `vagrant up`
        for machine in wanted.hosts:
            run(machine, READY)
        inside = {id: stack.enter_context(opened(host)) for id, host in machines.items()}
        around = {id: spaces[id] for id in machines if id not in wanted.hosts}
        for machine in around:
            around = around | {id: space for id, space in inside[machine].items() if id != HOST_NAMESPACE}
        around[UNDERLAY] = underlay
        results = runner.run_flows(wanted, runner.hosts_of(wanted), None, around).results
        assert results, "a test without flows proves nothing"
        return {str(result.flow): result.faults for result in results if not result.passed}


@contextlib.contextmanager
def _hypervisor() -> Iterator[int]:
    """A namespace of the hypervisor's. The underlay's is in the place of the lab's switch: packets are seen there."""

    def work() -> tuple[None, list[int]]:
        unshare(CLONE_NEWNET)
        return None, [os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)]

    _, (descriptor,) = in_child(work)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    print(json.dumps(_faults(sys.argv[1])))
