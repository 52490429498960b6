"""The identity of kernel objects."""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

Key = tuple[str | int | IPv4Address | IPv4Interface | IPv4Network | None, ...]
"""Identity of a kernel object: its kind first, then what makes it unique."""
