"""What an unquoted word of YAML means: the core schema of YAML 1.2, without its traps.

Words that YAML 1.1 and 1.2 read differently, or that are a number where nobody means one, are refused with
a hint to quote them. Quoted text is always text and never comes here.
"""

import math
import re

from dataplane.config.problem import shown

_WORDS: dict[str, bool | None] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_SWITCH_WORDS = frozenset(
    spelling for word in ("yes", "no", "on", "off") for spelling in (word, word.capitalize(), word.upper())
)
_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_ENDLESS = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_OTHER_BASE = re.compile(r"[-+]?(0[0-9_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|0b[01_]+|[0-9]+(_[0-9]*)+)")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_MAX_DIGITS = 20
"""Longer than 2^64 in decimal; Python refuses to read thousands of digits, so we do it first."""


class ScalarError(ValueError):
    """An unquoted word that must not be guessed at.

    Args:
        message: what is wrong with it.
        remedy: how to write what is probably meant.
    """

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


def read_plain(text: str, *, may_switch: bool = False) -> str | int | float | bool | None:
    """The value of an unquoted word.

    Args:
        text: the word.
        may_switch: ``on`` and ``off`` are words of the language here (``hook: off``).

    Raises:
        ScalarError: the word means different things to different readers, or is no sensible number.
    """
    if text in _WORDS:
        return _WORDS[text]
    # Nearly every word of a configuration begins with a letter: those need no number patterns.
    if text[0].isalpha():
        if text in _SWITCH_WORDS and not (may_switch and text in ("on", "off")):
            raise ScalarError(
                f"`{shown(text)}` is a text to some YAML readers and a yes or no to others",
                f'write true or false where a switch is meant, or "{shown(text)}" in quotes where a text is meant',
            )
        return text
    return _read_number(text)


def _read_number(text: str) -> str | int | float:
    if len(text) <= _MAX_DIGITS and _DECIMAL.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text):
        raise ScalarError(
            f"a whole number of {len(text)} digits is too large", "write a smaller number, or quote a text"
        )
    if _OTHER_BASE.fullmatch(text):
        raise ScalarError(
            f"`{shown(text)}` is a number of another base to some YAML readers and decimal or a text to others",
            f'write a plain decimal number, or "{shown(text)}" in quotes where a text is meant',
        )
    if _SEXAGESIMAL.fullmatch(text):
        raise ScalarError(
            f"`{shown(text)}` is a number of base 60 to some YAML readers", f'write "{shown(text)}" in quotes'
        )
    if _ENDLESS.fullmatch(text) or (_FLOAT.fullmatch(text) and math.isinf(float(text))):
        raise ScalarError(f"`{shown(text)}` is no number that can be counted to", "write a number, or quote a text")
    return float(text) if _FLOAT.fullmatch(text) else text
