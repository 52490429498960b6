"""All that a host's namespaces hold, in the kernel's own words: read by `ip` and from /proc, not by the product."""

import re
import subprocess
from pathlib import Path

from dataplane.kernel import netns

_LISTS = "link show\naddr show\nroute show table all\nrule show\nneigh show nud permanent\nnexthop show\n"
_VOLATILE = re.compile(r"(link-netnsid \d+|link-netns \S+|valid_lft \w+ preferred_lft \w+|qdisc \w+|state \w+)")
_IPV6 = re.compile(r" inet6 |fe80::|ff00::")
_SETTINGS = "/proc/sys/net/ipv4/conf"


def fingerprint(namespaces: list[str]) -> dict[str, list[str]]:
    """Namespace -> sorted lines about its links, addresses, routes, rules, neighbours, next hops and sysctls."""
    found = {}
    for name in namespaces:
        command = ["ip", "-n", name, "-details", "-oneline", "-batch", "-"]
        listed = subprocess.run(command, input=_LISTS, check=True, capture_output=True, text=True).stdout
        lines = [" ".join(_VOLATILE.sub("", line).split()) for line in listed.splitlines() if not _IPV6.search(line)]
        found[name] = sorted(lines) + _sysctls(name)
    return found


def _sysctls(namespace: str) -> list[str]:
    with netns.entered(namespace):
        files = sorted(path for path in Path(_SETTINGS).glob("*/*") if path.name != "flush")
        lines = [f"{path.relative_to(_SETTINGS)} = {path.read_text().strip()}" for path in files]
        return [*lines, f"ip_forward = {Path('/proc/sys/net/ipv4/ip_forward').read_text().strip()}"]


def differences(first: dict[str, list[str]], second: dict[str, list[str]]) -> list[str]:
    """The lines that only one of two fingerprints has."""
    found = []
    for name in sorted(first.keys() | second.keys()):
        one, other = set(first.get(name, ())), set(second.get(name, ()))
        found += [f"{name}: - {line}" for line in sorted(one - other)]
        found += [f"{name}: + {line}" for line in sorted(other - one)]
    return found
