"""One text out of a source of ``ebpf/`` and the headers of ours that it includes.

bcc 0.26 rewrites map calls in the text that it is given, and not in what that includes. Pure but for reading our files.
"""

import re
from importlib.resources import files

_INCLUDE = re.compile(r'#include "(lib/[a-z_]+\.h)"')


def flat(name: str) -> str:
    """The text of ``ebpf/<name>`` with each ``#include "lib/..."`` replaced; messages name the true file and line."""
    return flat_text(_read(name), f"ebpf/{name}")


def flat_text(text: str, name: str) -> str:
    """Likewise any text that includes headers of ours.

    Args:
        name: that messages call it by.
    """
    lines: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        match = _INCLUDE.fullmatch(line.strip())
        if match is None:
            lines.append(line)
            continue
        # No header includes another: the one source lists them all, in their order.
        lines += [f'#line 1 "ebpf/{match[1]}"', _read(match[1]).rstrip("\n"), f'#line {number + 1} "{name}"']
    return "\n".join(lines) + "\n"


def _read(name: str) -> str:
    return files("ebpf").joinpath(name).read_text(encoding="utf-8")
