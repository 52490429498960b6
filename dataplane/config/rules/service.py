"""Cloud services: addresses within 100.64.0.0/10 (R133)."""

from collections.abc import Iterator
from ipaddress import IPv4Address

from dataplane.config.problem import Problem
from dataplane.config.rules.lookup import Lookup
from dataplane.config.rules.route_table import CLOUD_SERVICES


def check(lookup: Lookup) -> Iterator[Problem]:
    """Where services are, and that no two of a region share an address."""
    seen: dict[tuple[str, IPv4Address], str] = {}
    for name, service in lookup.network.services.items():
        path = ("services", name, "ip")
        if service.ip not in CLOUD_SERVICES:
            message = f"{service.ip} is not inside {CLOUD_SERVICES}"
            yield lookup.error(path, message, "R133", f"use an address of {CLOUD_SERVICES}")
        first = seen.setdefault((service.region, service.ip), name)
        if first != name:
            message = f"service {first} of region {service.region} has the address {service.ip} too"
            yield lookup.error(path, message, "R133", "give each service of a region its own")
