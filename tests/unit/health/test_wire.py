"""The protocol between agent and prober: what goes in comes out, and what is not ours is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataplane.health import wire
from dataplane.health.state import NS_PER_MS, NS_PER_S, Cause, Settings, State, Transition, Verdict
from dataplane.health.wire import LegReport

_NAME = st.text("abc-1", min_size=1, max_size=8)
_COUNT = st.integers(0, 2**62)
_SETTINGS = st.builds(Settings, _COUNT, _COUNT, _COUNT, _COUNT, _COUNT, st.booleans())
_LINKS = st.lists(st.tuples(_NAME, _COUNT), max_size=2).map(tuple)
_SPEC = st.builds(
    wire.LegSpec, _NAME, _COUNT, _NAME, _NAME, _NAME, _SETTINGS, st.booleans(), st.lists(_COUNT).map(tuple), _LINKS
)
_VERDICT = st.sampled_from(Verdict)
_ORDER = st.builds(wire.LegOrder, _SPEC, st.booleans(), st.none() | _VERDICT, _COUNT)
_NAMES = st.lists(_NAME, max_size=3).map(tuple)
_STATE = st.sampled_from(State)
_TRANSITION = st.builds(Transition, _STATE, _STATE, _VERDICT, st.sampled_from(Cause), _COUNT, _COUNT)
_REPORT = st.builds(
    LegReport,
    _NAME,
    _STATE,
    _VERDICT,
    *[_COUNT] * 16,
    round_trip_ns=st.tuples(_COUNT, _COUNT, _COUNT, _COUNT),
    flips=_COUNT,
    damped_until_ns=_COUNT,
    has_carrier=st.booleans(),
    error=_COUNT,
)
MESSAGES = st.one_of(
    st.builds(wire.SetLegs, st.lists(_ORDER, max_size=3).map(tuple)),
    st.builds(wire.DropLegs, _NAMES),
    st.builds(wire.Watch, _NAMES),
    st.builds(wire.Unwatch, _NAMES),
    st.builds(wire.UseMap, _COUNT),
    st.builds(wire.Force, _NAME, st.none() | _VERDICT),
    st.builds(wire.Drill, _NAME, st.booleans()),
    st.just(wire.Ask()),
    st.builds(wire.Hello, _COUNT, _NAMES),
    st.builds(wire.Trouble, _NAME),
    st.builds(wire.Change, _NAME, _TRANSITION, _COUNT),
    st.builds(wire.Beat, _COUNT, _COUNT, _COUNT, _COUNT, _COUNT, _COUNT, st.booleans()),
    st.builds(wire.Report, st.lists(_REPORT, max_size=3).map(tuple)),
)


@given(MESSAGES)
def test_what_goes_in_comes_out(message: wire.Message) -> None:
    assert wire.decode(wire.encode(message)) == message


def test_every_message_is_tried() -> None:
    """The test above would pass on a list that lacks one."""
    assert len(MESSAGES.original_strategies) == len(wire._KINDS)


def test_a_report_of_many_legs_fits_into_a_datagram() -> None:
    big = 2**63
    row = LegReport("r" * 63, State.DISABLED, Verdict.DOWN, *[big] * 16, (big,) * 4, big, big, True, big)
    assert len(wire.encode(wire.Report((row,) * wire.LEGS_PER_DATAGRAM))) < wire.MAX_DATAGRAM_BYTES
    links = tuple(("n" * 80, big) for _ in range(8))
    spec = wire.LegSpec("r" * 63, big, "n" * 80, "s" * 15, "d" * 15, Settings(*[big] * 5), True, (big,) * 8, links)
    order = wire.LegOrder(spec, True, Verdict.DOWN, big)
    assert len(wire.encode(wire.SetLegs((order,) * wire.LEGS_PER_DATAGRAM))) < wire.MAX_DATAGRAM_BYTES


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"[1]", b'[1,"nobody"]', b'[1,"force","ri-1"]', b'[1,"force","ri-1","sideways"]', b"\xff\xfe"],
)
def test_what_is_not_ours_is_refused(data: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.decode(data)


def test_another_version_is_named() -> None:
    _, *rest = json.loads(wire.encode(wire.Ask()))
    with pytest.raises(wire.WireError, match="versions 1 and 2; restart the agent"):
        wire.decode(json.dumps([2, *rest]).encode())


def report(**more: int) -> LegReport:
    numbers = {"at_ns": 100 * NS_PER_S, "since_ns": 0, "judged_ns": 100 * NS_PER_S, "interval_ns": NS_PER_S, **more}
    rest = dict.fromkeys(
        ["sent", "replies", "misses", "voided", "unsent", "late", "strays", "rejected", "lost_in_row", "recent_lost"], 0
    )
    return LegReport(
        "ri-1", State.DOWN, Verdict.DOWN, timeout_ns=NS_PER_S, recent_probes=0, round_trip_ns=(0, 0, 0, 0), flips=0,
        damped_until_ns=0, has_carrier=True, error=0, **numbers, **rest,
    )  # fmt: skip


def test_a_frozen_verdict_is_shown_as_unknown_after_three_intervals() -> None:
    """D3: in the status only; the verdict itself holds."""
    now = 100 * NS_PER_S
    assert report().shown_state(now) is State.DOWN
    assert report(judged_ns=now - 4 * NS_PER_S).shown_state(now) is State.DOWN
    assert report(judged_ns=now - 4 * NS_PER_S - 1).shown_state(now) is State.UNKNOWN
    assert report().shown_state(now + wire.REPORTS_NS) is State.DOWN
    assert report().shown_state(now + wire.REPORTS_NS + 1) is State.UNKNOWN
    slow = report(interval_ns=60 * NS_PER_S)
    assert slow.shown_state(now + 180 * NS_PER_S) is State.DOWN
    assert slow.verdict is Verdict.DOWN
    assert report(interval_ns=NS_PER_MS).shown_state(now + NS_PER_S) is State.DOWN
