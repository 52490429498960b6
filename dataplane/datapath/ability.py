"""Whether this host can have the forwarder, asked without compiling anything: what is missing, and what brings it."""

import subprocess
import tempfile
from pathlib import Path

from dataplane.datapath import forwarder, headers, libbpf, loader
from dataplane.errors import HostError

_FILE_SYSTEMS = Path("/proc/filesystems")
_FIND_BCC = "import importlib.util, sys; sys.exit(importlib.util.find_spec('bcc') is None)"


def forwarder_lacks() -> str:
    """What the forwarder lacks here, as half a sentence with its remedy; empty where it can be had, or is."""
    if forwarder.is_here():
        return ""
    if "\tbpf\n" not in _FILE_SYSTEMS.read_text(encoding="ascii"):
        return "this kernel has no BPF file system (CONFIG_BPF_SYSCALL); boot one of a distribution"
    try:
        libbpf.try_map()
        with tempfile.TemporaryDirectory(prefix="dataplane-headers-") as tree:
            headers.write_tree(Path(tree))
        asked = subprocess.run([loader.PYTHON, "-I", "-c", _FIND_BCC], check=False, capture_output=True, timeout=20)
    except HostError as error:
        return str(error)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"this kernel, or whoever guards it, refuses eBPF ({error})"
    if asked.returncode != 0:
        return f"bcc for {loader.PYTHON} is missing; install it (Debian: apt install python3-bpfcc)"
    return ""
