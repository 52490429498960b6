"""What is said of the legs that a packet's routes name: who took one down, and what the route does about it.

Pure. It judges nothing: a leg that is down is no fault of the packet's way.
"""

from collections.abc import Iterator

from dataplane.model.forwarding import LegState
from dataplane.observe.why.atlas import Atlas
from dataplane.observe.why.elsewhere import host_of
from dataplane.observe.why.trace import Trace


def legs_down(atlas: Atlas, trace: Trace) -> Iterator[str]:
    """A sentence for each leg on the way that is down; of other hosts nothing is known."""
    for step in trace.steps:
        legs = atlas.peers_used_by(step.route) if step.route is not None and not host_of(step.namespace) else ()
        down = [leg for leg in legs if leg in atlas.desired.leg_states]
        is_any_up = len(down) < len(legs)
        for leg in down:
            verdict = atlas.desired.verdicts.of(leg)
            said = verdict.words if verdict is not None else "down"
            then = _then(atlas, leg, legs, is_any_up=is_any_up)
            yield f"leg {leg} of {atlas.place(step.namespace)} is {said}: {then}"


def _then(atlas: Atlas, leg: str, legs: tuple[str, ...], *, is_any_up: bool) -> str:
    if len(legs) == 1:
        return "general routing has no other one, and uses it (R49)"
    if is_any_up:
        return "its flows take another one"
    if atlas.desired.leg_states[leg] is LegState.DROPPED:
        return "and with all of them down it is not used (D2, on_all_down: drop)"
    return "with all of them down it counts as up (D2)"
