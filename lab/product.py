"""The product inside a host, used as a person uses it: the command, its exit code, its words."""

import os
import site
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dataplane
from dataplane.errors import ConfigError, DataplaneError, HostError, PermissionDenied
from lab.host import Here, Host

_HOST = "DATAPLANE_HOST"
"""Which host of the network a command is on."""

_OUTSIDE = ("DATAPLANE_STATE_DIR", "DATAPLANE_RUN_DIR")
"""Variables that would lead a command in a simulated host to the machine's own folders."""

_BY_EXIT_CODE: dict[int, type[DataplaneError]] = {
    ConfigError.exit_code: ConfigError,
    PermissionDenied.exit_code: PermissionDenied,
}


@dataclass(frozen=True, slots=True)
class Product:
    """The command ``dataplane`` in a host.

    Args:
        options: global options, before the command's name.
    """

    host: Host
    options: tuple[str, ...] = ()

    def run(self, *arguments: str) -> str:
        """Run a command of the product to its end.

        Returns:
            What it printed on stdout.

        Raises:
            DataplaneError: it failed; of the class that its exit code says, with what it said on stderr.
        """
        command = [sys.executable, "-m", "dataplane", *self.options, *arguments]
        # preexec_fn is safe here: the lab has one thread only.
        done = subprocess.run(
            command,
            env=environment(self.host),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            preexec_fn=self.host.enter,
        )
        if done.returncode != 0:
            said = done.stderr.strip() or done.stdout.strip() or "it said nothing"
            kind = _BY_EXIT_CODE.get(done.returncode, HostError)
            short = " ".join(arguments)
            raise kind(f"`dataplane {short}` failed on host {self.host.name} with exit code {done.returncode}:\n{said}")
        return done.stdout


def environment(host: Host) -> dict[str, str]:
    """The variables for a program in a host: its name, the product on the PATH, nothing that leads outside."""
    variables = dict(os.environ) | {_HOST: host.name}
    if not isinstance(host, Here):
        for name in _OUTSIDE:
            variables.pop(name, None)
    variables["PATH"] = os.pathsep.join([variables.get("PATH", os.defpath), str(Path(sys.executable).parent)])
    root = str(Path(dataplane.__file__).parent.parent)
    if root not in _installed_at():
        # Run from a checkout: `-m dataplane` must find it from any folder.
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, [root, variables.get("PYTHONPATH", "")]))
    return variables


def _installed_at() -> Sequence[str]:
    return [*site.getsitepackages(), site.getusersitepackages()]
