"""An agent that does not read: nothing blocks, and the last word of each leg is kept."""

import socket
from collections.abc import Iterator

import pytest

from dataplane.health.outbox import AgentGone, Outbox
from dataplane.health.state import Cause, State, Transition, Verdict
from dataplane.health.wire import Beat, Change, decode

BEAT = Beat(0, 0, 0, 0, 0, 0, False)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, its:
        ours.setblocking(False)
        its.setblocking(False)
        yield ours, its


def transition(at: int, before: State = State.UP, after: State = State.DOWN) -> Transition:
    return Transition(before, after, Verdict.DOWN if after is State.DOWN else Verdict.UP, Cause.LOST, at, at)


def heard(agent: socket.socket) -> list[object]:
    found = []
    while True:
        try:
            found.append(decode(agent.recv(65536)))
        except BlockingIOError:
            return found


def test_a_change_is_told_at_once(ends: tuple[socket.socket, socket.socket]) -> None:
    agent, prober = ends
    Outbox(prober).change("ri-1", transition(1))
    assert heard(agent) == [Change("ri-1", transition(1))]


def test_while_nobody_reads_only_the_last_change_of_each_leg_is_kept(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    agent, prober = ends
    outbox = Outbox(prober)
    while outbox.tell(BEAT):
        pass
    outbox.change("ri-1", transition(1, State.UNKNOWN, State.UP))
    outbox.change("ri-2", transition(2))
    outbox.change("ri-1", transition(3, State.UP, State.DOWN))
    assert outbox.is_waiting
    assert set(map(type, heard(agent))) == {Beat}
    outbox.flush()
    assert not outbox.is_waiting
    assert heard(agent) == [
        Change("ri-2", transition(2)),
        Change("ri-1", transition(3, State.UNKNOWN, State.DOWN), coalesced=1),
    ]


def test_changes_stay_in_order_when_room_comes_back(ends: tuple[socket.socket, socket.socket]) -> None:
    agent, prober = ends
    outbox = Outbox(prober)
    while outbox.tell(BEAT):
        pass
    outbox.change("ri-1", transition(1))
    heard(agent)
    outbox.change("ri-1", transition(2))
    assert heard(agent) == [Change("ri-1", transition(1)), Change("ri-1", transition(2))]


def test_an_agent_that_is_gone_is_known(ends: tuple[socket.socket, socket.socket]) -> None:
    agent, prober = ends
    agent.close()
    with pytest.raises(AgentGone):
        Outbox(prober).change("ri-1", transition(1))
