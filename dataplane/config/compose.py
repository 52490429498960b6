"""YAML text to a tree of nodes: a strict subset of YAML 1.2, refused with positions.

Only PyYAML's events are used. Its composer is not: it follows aliases, and its C parser dies of nesting
that is a few thousand levels deep. Events are read one by one, so the 33rd level stops the reading.
"""

from collections.abc import Iterator
from typing import Any

import yaml

from dataplane.config.node import Node
from dataplane.config.problem import Problem, path_text, shown
from dataplane.config.scalar import ScalarError, read_plain
from dataplane.model.resource import Origin

MAX_DEPTH = 32
SWITCH_KEYS = frozenset({"hook", "flow_cap", "damping"})
"""Keys whose value may be the bare word ``on`` or ``off``."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Unreadable(Exception):
    """The text cannot be read any further.

    Args:
        problem: the one thing that stopped the reading.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def compose(name: str, text: str, problems: list[Problem]) -> Node | None:
    """The tree of one YAML text; None where the text holds nothing.

    Args:
        name: what the source is called in messages.
        text: the whole text.
        problems: takes what is wrong with single values; those are left out of the tree.

    Raises:
        Unreadable: the text is not the YAML that we read.
    """
    composer = _Composer(name, problems)
    try:
        return composer.document(yaml.parse(text, Loader=_Loader))
    except yaml.YAMLError as error:
        raise Unreadable(_syntax_problem(name, error)) from error


def _syntax_problem(name: str, error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    origin = Origin(name, mark.line + 1, mark.column + 1) if mark else Origin(name, 1, 1)
    said = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
    context = getattr(error, "context", None)
    remedy = _SYNTAX_REMEDIES.get(str(said), "check the indentation and quotes of this line and the one before")
    return Problem("error", origin, "", f"not valid YAML: {f'{context}, ' if context else ''}{said}", None, remedy)


_SYNTAX_REMEDIES = {
    "mapping values are not allowed in this context": "look for a missing `:`, or blank after it, in the line "
    "above; mend the indentation; put a text that holds `: ` in quotes",
    "did not find expected key": "indent all keys of one map alike",
    "could not find expected ':'": "write `key: value`, with a blank after the colon",
    "found character that cannot start any token": "put the text in quotes",
    "found unexpected end of stream": "close the quote or bracket that is open",
    "did not find expected ',' or ']'": "close the list with `]`, and put commas between its items",
    "did not find expected ',' or '}'": "close the map with `}`, and put commas between its keys",
}


class _Composer:
    """Builds nodes out of events; one use per text."""

    def __init__(self, name: str, problems: list[Problem]) -> None:
        self._name = name
        self._problems = problems
        self._path: list[str | int] = []

    def document(self, events: Iterator[Any]) -> Node | None:
        """The root of the one document; None where it is empty. Raises Unreadable and yaml.YAMLError."""
        root: Node | None = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise self._stop(event, "a second YAML document begins", "keep one document in a file")
            elif isinstance(event, (yaml.StreamStartEvent, yaml.StreamEndEvent, yaml.DocumentEndEvent)):
                continue
            else:
                root = self._node(event, events)
        if root is not None and root.value is None:
            return None
        return root

    def _node(self, event: Any, events: Iterator[Any], key: str = "") -> Node:
        if isinstance(event, yaml.AliasEvent):
            raise self._stop(event, f"the alias *{shown(event.anchor)} is not allowed", "write the value out")
        if event.anchor is not None:
            raise self._stop(
                event, f"the anchor &{shown(event.anchor)} is not allowed", "write each value where it is used"
            )
        if event.tag is not None:
            raise self._stop(event, f"the tag {shown(event.tag)} is not allowed", "write the plain value")
        if isinstance(event, yaml.ScalarEvent):
            return self._at(self._scalar(event, key), event)
        if len(self._path) >= MAX_DEPTH:
            raise self._stop(
                event, f"nested more than {MAX_DEPTH} levels deep", "the language needs no more than ten levels"
            )
        if isinstance(event, yaml.SequenceStartEvent):
            return self._at(self._sequence(events), event)
        return self._at(self._mapping(events), event)

    def _scalar(self, event: Any, key: str) -> str | int | float | bool | None:
        if not event.implicit[0]:
            return str(event.value)
        try:
            return read_plain(event.value, may_switch=key in SWITCH_KEYS)
        except ScalarError as error:
            self._note(event, error.message, error.remedy)
            return None

    def _sequence(self, events: Iterator[Any]) -> list[Node]:
        items: list[Node] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            self._path.append(len(items))
            item = self._node(event, events)
            item.position = len(items)
            items.append(item)
            self._path.pop()
        return items

    def _mapping(self, events: Iterator[Any]) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self._key(event)
            self._path.append(key)
            node = self._node(next(events), events, key)
            node.named_at(event.start_mark.line + 1, event.start_mark.column + 1)
            if key in entries:
                first = entries[key].key_origin
                self._note(event, f"the key `{shown(key)}` stands here twice, first at {first}", "remove one of them")
            else:
                entries[key] = node
            self._path.pop()
        return entries

    def _key(self, event: Any) -> str:
        """The text of a key. A number is taken as its text: ids may look like one."""
        if not isinstance(event, yaml.ScalarEvent):
            raise self._stop(event, "a list, a map or an alias cannot be a key", "write a plain word before the colon")
        if event.anchor is not None or event.tag is not None:
            raise self._stop(event, "a key has no anchor and no tag", "write the plain word")
        text = str(event.value)
        if event.implicit[0]:
            if text == "<<":
                raise self._stop(event, "the merge key `<<` is not allowed", "write the keys out")
            try:
                read_plain(text)
            except ScalarError as error:
                self._note(event, error.message, f'as a key, write it in quotes: "{shown(text)}"')
        return text

    def _at(self, value: Any, event: Any) -> Node:
        mark = event.start_mark
        return Node(value, self._name, mark.line + 1, mark.column + 1)

    def _problem(self, event: Any, message: str, remedy: str) -> Problem:
        origin = Origin(self._name, event.start_mark.line + 1, event.start_mark.column + 1)
        return Problem("error", origin, path_text(self._path), message, None, remedy)

    def _note(self, event: Any, message: str, remedy: str) -> None:
        self._problems.append(self._problem(event, message, remedy))

    def _stop(self, event: Any, message: str, remedy: str) -> Unreadable:
        return Unreadable(self._problem(event, message, remedy))
