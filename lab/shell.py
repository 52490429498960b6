"""The person's own shell, with a prompt that says where it is."""

import os
from pathlib import Path

_BASH_START = """
[ -f /etc/bash.bashrc ] && . /etc/bash.bashrc
[ -f ~/.bashrc ] && . ~/.bashrc
PS1="[lab {place}] $PS1"
"""


def shell_command(place: str) -> tuple[list[str], dict[str, str]]:
    """The shell to run and the variables to run it with.

    Args:
        place: what the prompt shows; made of checked ids.
    """
    shell = os.environ.get("SHELL") or "/bin/sh"
    prompt = f"[lab {place}] "
    variables = {"DATAPLANE_LAB_NODE": place, "PS1": f"{prompt}# "}
    if Path(shell).name != "bash":
        return [shell, "-i"], variables
    # Bash reads its own files after the variables; a start file that lives in memory has the last word.
    descriptor = os.memfd_create("dataplane-lab-bashrc", 0)
    os.write(descriptor, _BASH_START.format(place=place).encode())
    return [shell, "--rcfile", f"/proc/self/fd/{descriptor}", "-i"], variables
