"""The classifier of a router as nf_tables messages, and out of what the kernel shows.

Every rule carries a digest of itself as its comment, so that one that was changed by hand shows. The table is ours by
its comment. Must never touch a table without it.
"""

import hashlib
from collections.abc import Iterator

from dataplane.kernel import nf_tables, nft
from dataplane.kernel.attributes import text
from dataplane.kernel.nf_tables import Header, Message, Meta, Register
from dataplane.kernel.ownership import CLASSIFIER_MARK
from dataplane.model import names
from dataplane.model.shaper import FIRST_LEAF, Classifier

_HOOK_CHAIN, _LEAF_CHAIN = "leaving", "leaf"
_FORWARD = 2
_PRIORITY = 300
"""After all others at this hook: a priority of somebody else's would lead past the limit."""
_ACCEPT = 1
_TYPE = "filter"
_TCP, _UDP = 6, 17
_FRAGMENT_BITS = b"\x3f\xff"
_ADDRESSES_OFFSET, _PROTOCOL_OFFSET, _FRAGMENT_OFFSET = 12, 9, 6
_TABLE, _CHAIN, _CHAIN_NAME = 1, 2, 3
_CHAIN_HOOK, _CHAIN_POLICY, _CHAIN_TYPE = 4, 5, 7
_RULE_EXPRESSIONS, _RULE_COMMENT, _TABLE_COMMENT = 4, 7, 6


def requests(wanted: Classifier, present: Classifier | None) -> Iterator[bytearray]:
    """The changes that make a classifier as wanted, in one transaction.

    Where only its ports differ, the rules that hash stay: with another seed, flows would change their leaves.
    """
    is_kept = present is not None and present.is_whole and present.leaves == wanted.leaves
    if is_kept:
        yield nf_tables.change(Message.DELETE_RULE, _table(), nf_tables.name(_CHAIN, _HOOK_CHAIN), is_new=False)
    else:
        yield from removal_requests()
        comment = nf_tables.attribute(_TABLE_COMMENT, nf_tables.comment(CLASSIFIER_MARK))
        yield nf_tables.change(Message.NEW_TABLE, _table(), comment)
        yield nf_tables.change(Message.NEW_CHAIN, _table(), nf_tables.name(_CHAIN_NAME, _LEAF_CHAIN))
        yield nf_tables.change(Message.NEW_CHAIN, _table(), nf_tables.name(_CHAIN_NAME, _HOOK_CHAIN), *_hook())
        yield from (_rule_request(_LEAF_CHAIN, rule, str(wanted.leaves)) for rule in leaf_rules(wanted.leaves))
    yield from (_rule_request(_HOOK_CHAIN, port_rule(ifname), ifname) for ifname in sorted(wanted.ifnames))


def removal_requests() -> Iterator[bytearray]:
    """The changes that take it away; fine where it is gone."""
    yield nf_tables.change(Message.NEW_TABLE, _table())
    yield nf_tables.change(Message.DELETE_TABLE, _table(), is_new=False)


def _table() -> bytes:
    return nf_tables.name(_TABLE, nft.TABLE)


def _hook() -> tuple[bytes, ...]:
    place = nf_tables.nested(_CHAIN_HOOK, nf_tables.number(1, _FORWARD), nf_tables.number(2, _PRIORITY))
    return place, nf_tables.number(_CHAIN_POLICY, _ACCEPT), nf_tables.name(_CHAIN_TYPE, _TYPE)


def port_rule(ifname: str) -> bytes:
    """What leaves by a port gets a leaf."""
    padded = ifname.encode().ljust(16, b"\0")
    loaded = nf_tables.load_meta(Meta.OUT_NAME, Register.FIRST)
    return loaded + nf_tables.equals(Register.FIRST, padded) + nf_tables.go_to(_LEAF_CHAIN)


def leaf_rules(leaves: int) -> tuple[bytes, ...]:
    """A leaf by the 3-tuple for every packet, then one by the 5-tuple for those that have ports: whole TCP and UDP."""
    addresses = nf_tables.load(Header.NETWORK, _ADDRESSES_OFFSET, 8, Register.FIRST)
    protocol = nf_tables.load(Header.NETWORK, _PROTOCOL_OFFSET, 1, Register.THIRD)
    ports = nf_tables.load(Header.TRANSPORT, 0, 4, Register.FOURTH)
    fragments = nf_tables.load(Header.NETWORK, _FRAGMENT_OFFSET, 2, Register.FIRST)
    is_whole = fragments + nf_tables.masked(Register.FIRST, _FRAGMENT_BITS) + nf_tables.equals(Register.FIRST, bytes(2))
    chosen = nf_tables.set_meta(Meta.PRIORITY, Register.FIRST)
    by_three = nf_tables.hashed(Register.FIRST, 12, leaves, FIRST_LEAF)
    by_five = nf_tables.hashed(Register.FIRST, 16, leaves, FIRST_LEAF)
    with_ports = (
        is_whole + protocol + nf_tables.equals(Register.THIRD, bytes([one])) + addresses + ports + by_five + chosen
        for one in (_TCP, _UDP)
    )
    return (addresses + protocol + by_three + chosen, *with_ports)


def _rule_request(chain: str, rule: bytes, what: str) -> bytearray:
    return nf_tables.change(
        Message.NEW_RULE,
        _table(),
        nf_tables.name(_CHAIN, chain),
        nf_tables.nested(_RULE_EXPRESSIONS, rule),
        nf_tables.attribute(_RULE_COMMENT, nf_tables.comment(_comment(what, rule))),
    )


def _comment(what: str, rule: bytes) -> str:
    return f"{names.MARK_PREFIX}{what} {hashlib.blake2s(rule, digest_size=8).hexdigest()}"


def observe(namespace: str) -> tuple[Classifier | None, bool]:
    """The classifier of the namespace that the thread is in, and whether somebody else has a table in its place."""
    head = nft.head()
    if head is None or head.comment != CLASSIFIER_MARK:
        return None, head is not None
    comments: dict[str, list[str]] = {_HOOK_CHAIN: [], _LEAF_CHAIN: []}
    for rule in nf_tables.dump(Message.GET_RULE, _table()):
        if text(rule.get(_TABLE)) == nft.TABLE:
            chain = text(rule.get(_CHAIN))
            comments.setdefault(chain, []).append(nft.comment_in(rule.get(_RULE_COMMENT, b"")))
    leaves = next((int(word) for one in comments[_LEAF_CHAIN] if (word := _what(one)).isdigit()), 0)
    ports = [_what(one) for one in comments[_HOOK_CHAIN]]
    written = {
        _HOOK_CHAIN: [_comment(ifname, port_rule(ifname)) for ifname in ports],
        _LEAF_CHAIN: [_comment(str(leaves), rule) for rule in leaf_rules(leaves)] if leaves else None,
    }
    is_whole = head.is_awake and comments == written and _chains() == _made_chains()
    return Classifier(namespace, frozenset(filter(None, ports)), leaves, is_whole=is_whole), False


def _what(comment: str) -> str:
    """The port or the number of leaves that the comment of a rule names; empty where it is none of ours."""
    words = comment.removeprefix(names.MARK_PREFIX).split(" ")
    return words[0] if comment.startswith(names.MARK_PREFIX) and len(words) == 2 else ""


Chain = tuple[str | bytes, ...]
"""Its name, and where it hangs, what it does at its end, and its type; empty where it hangs nowhere."""


def _chains() -> set[Chain]:
    """The chains that are there."""
    found = nf_tables.dump(Message.GET_CHAIN)
    ours = [one for one in found if text(one.get(_TABLE)) == nft.TABLE]
    options = (_CHAIN_HOOK, _CHAIN_POLICY, _CHAIN_TYPE)
    return {(text(one.get(_CHAIN_NAME)), *(one.get(option, b"") for option in options)) for one in ours}


def _made_chains() -> set[Chain]:
    """The chains that we make, as the kernel shows them."""
    place, policy, kind = (data[4:] for data in _hook())
    return {(_HOOK_CHAIN, place, policy, kind.rstrip(b"\0") + b"\0"), (_LEAF_CHAIN, b"", b"", b"")}
