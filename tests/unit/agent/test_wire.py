"""Values on the wire: the same ones come back, and what is something else is refused with its place."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataplane.agent.api.wire import WireError, from_plain, parse, pieces, to_plain
from dataplane.model.forwarding import Reason, Verdict


@dataclass(frozen=True)
class Inner:
    word: str
    number: int = 7


@dataclass(frozen=True)
class Outer:
    inner: Inner
    several: tuple[Inner, ...] = ()
    pairs: tuple[tuple[float, int], ...] = ()
    reasons: Mapping[str, Mapping[Reason, int]] | None = None
    verdict: Verdict | None = None
    lazy: Sequence[int] = ()
    flag: bool = False


INNERS = st.builds(Inner, st.text(), st.integers())
OUTERS = st.builds(
    Outer,
    INNERS,
    st.lists(INNERS, max_size=3).map(tuple),
    st.lists(st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.integers()), max_size=3).map(tuple),
    st.none() | st.dictionaries(st.text(), st.dictionaries(st.sampled_from(Reason), st.integers())),
    st.none() | st.sampled_from(Verdict),
    st.lists(st.integers(), max_size=600).map(tuple),
    st.booleans(),
)


@given(OUTERS)
def test_what_goes_out_comes_back(value: Outer) -> None:
    text = b"".join(pieces(value))
    assert from_plain(Outer, parse(text)) == value
    assert json.loads(text) == to_plain(value)


@pytest.mark.parametrize(
    ("plain", "complaint"),
    [
        (None, "x: not an object"),
        ({}, "x: inner is missing"),
        ({"inner": {"word": 1}}, "x.inner.word: 1 is not a text"),
        ({"inner": {"word": "a", "number": "1"}}, "x.inner.number: '1' is not a whole number"),
        ({"inner": {"word": "a", "number": True}}, "x.inner.number: True is not a whole number"),
        ({"inner": {"word": "a", "number": 1.0}}, "x.inner.number: 1.0 is not a whole number"),
        ({"inner": {"word": None}}, "x.inner.word: None is not a text"),
        ({"inner": {"word": "a"}, "several": {}}, "x.several: not a list"),
        ({"inner": {"word": "a"}, "several": [{"word": "a"}, 3]}, "x.several[1]: not an object"),
        ({"inner": {"word": "a"}, "pairs": [[1.0]]}, "x.pairs[0]: 1 items instead of 2"),
        ({"inner": {"word": "a"}, "flag": 1}, "x.flag: 1 is not true or false"),
        ({"inner": {"word": "a"}, "verdict": "dropped"}, "x.verdict: 'dropped' is no Verdict"),
        ({"inner": {"word": "a"}, "reasons": {"a": {"nonsense": 1}}}, "x.reasons.a: 'nonsense' is no Reason"),
        ({"inner": {"word": "a"}, "flags": True}, "x: nothing is called 'flags' here"),
    ],
)
def test_something_else_is_refused_with_its_place(plain: object, complaint: str) -> None:
    with pytest.raises(WireError) as raised:
        from_plain(Outer, plain, where="x")
    assert complaint in str(raised.value)


def test_a_newer_agents_reply_may_have_more_in_it() -> None:
    assert from_plain(Inner, {"word": "a", "more": []}, is_strict=False) == Inner("a")


@given(st.text(alphabet='",[{\\\n a', max_size=300))
def test_what_stands_in_texts_is_not_counted_as_values(text: str) -> None:
    document = json.dumps([text * 1_000]).encode()
    assert parse(document) == [text * 1_000]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_json_has_not_is_not_sent(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        b"".join(pieces((value,)))


def test_what_has_no_form_is_a_bug() -> None:
    with pytest.raises(TypeError, match="object has no form on the wire"):
        to_plain(object())
