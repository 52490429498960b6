"""From texts to a checked network: read, compose, merge, validate, judge; all problems at once.

What fails is cut out of the tree and the rest is judged again, so that one broken resource neither hides
the errors of others nor makes up errors of its own.
"""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import ValidationError

from dataplane.config.compose import Unreadable, compose
from dataplane.config.loaded import Loaded
from dataplane.config.merge import merge
from dataplane.config.network import Network
from dataplane.config.node import Node
from dataplane.config.problem import InvalidConfig, Problem, path_text, sort_problems
from dataplane.config.prune import prune
from dataplane.config.reading import network_of
from dataplane.config.rules.book import check
from dataplane.config.rules.lookup import Lookup
from dataplane.config.rules.next_hop import routes_gone
from dataplane.config.source import Source, check_text, read_sources
from dataplane.config.translate import Fault, translate
from dataplane.model.resource import NOWHERE, Origin

_MAX_PASSES = 8
"""Each pass cuts at least one thing out; two are the rule, and the bound is against our own mistakes."""


def load(paths: Sequence[str | Path]) -> Loaded:
    """Read and check a configuration.

    Args:
        paths: files, folders (all ``*.yaml`` and ``*.yml`` in them, sorted) or ``-`` for standard input.

    Raises:
        InvalidConfig: with every error and warning that was found.
    """
    problems: list[Problem] = []
    sources = read_sources(paths, problems)
    return _load(sources, problems)


def load_sources(sources: Sequence[Source]) -> Loaded:
    """Check a configuration whose texts are kept elsewhere.

    Raises:
        InvalidConfig: with every error and warning that was found.
    """
    return _load(sources, [])


def _load(sources: Sequence[Source], problems: list[Problem]) -> Loaded:
    if not sources and not problems:
        problems.append(Problem("error", NOWHERE, "", "no configuration was named", None, "name a file or a folder"))
    trees, is_complete = _trees(sources, problems)
    roots = [root for root in trees if root is not None]
    if not roots:
        if not problems:
            problems.append(_empty(sources))
        raise InvalidConfig(problems)
    root = merge(roots, problems)
    network, broken = _validate(root, problems)
    if network is not None and is_complete:
        # With a file missing from the picture its resources would all seem to dangle.
        network, found = _judge(network, root, broken)
        problems += found
    if network is None or any(problem.severity == "error" for problem in problems):
        raise InvalidConfig(problems)
    return Loaded(network, sort_problems(problems), tuple(sources), _fingerprint(sources), root)


def _trees(sources: Sequence[Source], problems: list[Problem]) -> tuple[list[Node | None], bool]:
    """The trees of the texts that can be read (None where one is empty), and whether all could."""
    trees: list[Node | None] = []
    is_complete = not problems
    for source in sources:
        try:
            trees.append(_tree(source, problems))
        except Unreadable as error:
            problems.append(error.problem)
            is_complete = False
    return trees, is_complete


def _tree(source: Source, problems: list[Problem]) -> Node | None:
    """The tree of one text, or None where it is empty. Raises Unreadable."""
    bad_text = check_text(source)
    if bad_text is not None:
        raise Unreadable(bad_text)
    root = compose(source.name, source.text, problems)
    if root is not None and not isinstance(root.value, dict):
        message = "the file is not a map of keys"
        raise Unreadable(Problem("error", root.origin, "", message, None, "begin it with version: 1"))
    return root


def _empty(sources: Sequence[Source]) -> Problem:
    return Problem("error", Origin(sources[0].name, 1, 1), "", "the file is empty", None, "begin it with version: 1")


def _validate(root: Node, problems: list[Problem]) -> tuple[Network | None, frozenset[tuple[str | int, ...]]]:
    """The network of everything that is well formed, and the paths of what had to be cut out."""
    broken: set[tuple[str | int, ...]] = set()
    known = {problem.path for problem in problems}
    for _ in range(_MAX_PASSES):
        try:
            return network_of(root.plain()), frozenset(broken)
        except ValidationError as error:
            faults = translate(error, root)
            problems += [fault.problem for fault in faults if not fault.is_echo and not _is_known(fault, known, broken)]
            cut = prune(root, faults, broken)
            if not cut:
                break
    return None, frozenset(broken)


def _is_known(fault: Fault, known: Iterable[str], broken: Iterable[tuple[str | int, ...]]) -> bool:
    """Whether a fault only repeats one that was reported: a refused word, or a key cut out before."""
    return path_text(fault.path) in known or any(fault.path == path[: len(fault.path)] for path in broken)


def _judge(network: Network, root: Node, broken: frozenset[tuple[str | int, ...]]) -> tuple[Network, list[Problem]]:
    """What the rules say. Routes that a deleted connection took along are left out first (R104)."""
    lookup = Lookup(network, root, broken)
    gone = list(routes_gone(lookup))
    problems = [problem for _, problem in gone]
    if gone:
        for path in sorted((path for path, _ in gone), key=lambda path: path[-1], reverse=True):
            root.remove(path)  # from the last one on, so that the positions of the others stay true
        network = network_of(root.plain())
        lookup = Lookup(network, root, broken)
    problems += check(lookup)
    return network, problems


def _fingerprint(sources: Sequence[Source]) -> str:
    digests = [hashlib.sha256(source.text.encode()).hexdigest() for source in sources]
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()
