"""Calls from other threads: in order, one for each turn of the loop, each with its answer."""

import select
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from dataplane.agent.daemon.calls import Calls
from dataplane.errors import ConflictError


def is_readable(calls: Calls) -> bool:
    return bool(select.select([calls], [], [], 0)[0])


def test_one_for_each_turn_so_that_flips_come_between() -> None:
    calls, done = Calls(), []
    with ThreadPoolExecutor(3) as others:
        answers = [others.submit(calls.ask, lambda number=number: done.append(number) or number) for number in range(3)]
        while calls._waiting.qsize() < 3:
            pass
        for turn in range(1, 4):
            assert is_readable(calls), "what waits wakes the loop again"
            calls.do_next()
            assert len(done) == turn
        assert sorted(answer.result(5) for answer in answers) == [0, 1, 2]
    calls.do_next()
    assert not is_readable(calls)


def test_what_a_call_raises_is_the_callers_and_a_closed_loop_answers_nobody() -> None:
    calls = Calls()
    with ThreadPoolExecutor(1) as others:
        failed = others.submit(calls.ask, lambda: 1 // 0)
        while not is_readable(calls):
            pass
        calls.do_next()
        with pytest.raises(ZeroDivisionError):
            failed.result(5)
    calls.close()
    with pytest.raises(ConflictError, match="is stopping"):
        calls.ask(threading.get_ident)
