"""Reads from a PromQL expression which metrics and labels it uses: enough of the language for our own files.

It does not evaluate anything. What it does not understand it refuses, so that nothing slips through unread.
"""

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"[^"]*")|(?P<range>\[[^\]]*\])|(?P<number>\d+(?:\.\d+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<sign>=~|!~|!=|==|>=|<=|[-+*/%^<>=(){},]))""",
    re.VERBOSE,
)
_KEYWORDS = {"and", "or", "unless", "bool"}
_LISTS = {"by", "without", "on", "ignoring", "group_left", "group_right"}
_FUNCTIONS = {
    "sum", "max", "min", "count", "avg", "topk", "rate", "increase", "changes", "absent", "time", "vector"
}  # fmt: skip


class NotUnderstood(ValueError):
    """The expression has something that this reader does not know."""


@dataclass
class Used:
    """What an expression names.

    Args:
        metrics: with the label matchers of each: label, operator, text.
        labels: of ``by``, ``on`` and the like.
    """

    metrics: list[tuple[str, list[tuple[str, str, str]]]] = field(default_factory=list)
    labels: set[str] = field(default_factory=set)


def read(expression: str) -> Used:
    """What an expression names.

    Raises:
        NotUnderstood: it has more in it than this reader knows.
    """
    tokens, used, at = _tokens(expression), Used(), 0
    while at < len(tokens):
        token = tokens[at]
        at += 1
        if not (token[0].isalpha() or token[0] == "_") or token in _KEYWORDS:
            continue
        if token in _LISTS:
            end = tokens.index(")", at)
            used.labels |= {word for word in tokens[at + 1 : end] if word != ","}
            at = end + 1
        elif token in _FUNCTIONS:
            if at >= len(tokens) or tokens[at] not in ("(", "by", "without"):
                raise NotUnderstood(f"{token} is no call in {expression}")
        elif at < len(tokens) and tokens[at] == "(":
            raise NotUnderstood(f"the function {token} in {expression}")
        else:
            matchers, at = _matchers(tokens, at)
            used.metrics.append((token, matchers))
    return used


def _tokens(expression: str) -> list[str]:
    found, at = [], 0
    while at < len(expression.rstrip()):
        match = _TOKEN.match(expression, at)
        if match is None:
            raise NotUnderstood(f"{expression[at:]!r} in {expression}")
        found.append(match[0].strip())
        at = match.end()
    return found


def _matchers(tokens: list[str], at: int) -> tuple[list[tuple[str, str, str]], int]:
    if at >= len(tokens) or tokens[at] != "{":
        return [], at
    end = tokens.index("}", at)
    words = [word for word in tokens[at + 1 : end] if word != ","]
    found = [(words[i], words[i + 1], words[i + 2].strip('"')) for i in range(0, len(words), 3)]
    return found, end + 1
