"""``three-hosts`` on two machines that a wire joins: VXLAN between two kernels, each with an apply of its own.

Not collected by itself, for it takes minutes in emulation: ``scripts/test vm-pair`` names it. The third host is
missing, and with it only what leads there. The same network in namespaces of one kernel: tests/lab.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INSIDE = Path(__file__).with_name("on_each.sh")

SAID = {
    1: """\
apply: 0
hooks: tc
red-1 reaches red-2: 20 of 20
red-1 to red-2 goes by: 10.1.1.253 10.1.2.253 10.1.2.10
office-1 reaches laboratory-1: 20 of 20
echoes that green-2 of this machine heard: 0
TCP from red-1 to red-2: 0
packets that were no VXLAN on the wire: 0
VXLAN on the wire: yes
nothing to do: plan: nothing to do, this host is as the files say
""",
    2: """\
apply: 0
hooks: tc
red-2 reaches red-1: 20 of 20
red-2 to red-1 goes by: 10.1.2.253 10.1.1.253 10.1.1.10
laboratory-1 reaches office-1: 20 of 20
VXLAN on the wire: yes
""",
}


def test_r88_three_hosts_between_two_kernels() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: run with sudo")
    for tool, package in {"qemu-system-x86_64": "qemu-system-x86", "busybox": "busybox-static"}.items():
        if shutil.which(tool) is None:
            pytest.skip(f"needs the package {package}; scripts/vm installs it")
    command = [sys.executable, "-m", "lab.vm", "--cpus", "1", "--timeout", "1500", "--pair"]
    done = subprocess.run(
        [*command, "--", "sh", str(INSIDE), sys.executable],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    said = {number: "".join(re.findall(rf"^{number}: (.*\n)", done.stdout, re.MULTILINE)) for number in SAID}
    assert done.returncode == 0, done.stdout + done.stderr
    assert said == SAID
