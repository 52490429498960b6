"""Accounts: references to them, and their numbers (R7).

A network without ``accounts:`` may call its accounts what it likes; one with them names all.
"""

from collections.abc import Iterator

from dataplane.config.problem import Path, Problem
from dataplane.config.rules.lookup import Lookup


def check(lookup: Lookup) -> Iterator[Problem]:
    """References to accounts, and uids that two of them share."""
    accounts = lookup.network.accounts
    for path, account in _references(lookup):
        if accounts and account not in accounts and not lookup.is_broken("accounts", account):
            yield lookup.dangling(path, "account", account, accounts, "R12")
    seen: dict[str, str] = {}
    for name, item in accounts.items():
        if item.uid is None:
            continue
        first = seen.setdefault(item.uid, name)
        if first != name:
            message = f"account {first} has the uid {item.uid} too"
            yield lookup.error(("accounts", name, "uid"), message, "R7", "give each account its own number")


def _references(lookup: Lookup) -> Iterator[tuple[Path, str]]:
    network = lookup.network
    for vpc_id, vpc in network.vpcs.items():
        yield ("vpcs", vpc_id, "account"), vpc.account
    for line_id, line in network.physical_connections.items():
        yield ("physical_connections", line_id, "account"), line.account
    for vbr_id, vbr in network.vbrs.items():
        yield ("vbrs", vbr_id, "account"), vbr.account
