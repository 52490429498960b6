"""An observation that a child takes part in is the one that a process makes alone (section 13 of the design)."""

import pytest

from dataplane.kernel import observe
from dataplane.kernel.twofold import Twofold
from dataplane.model.kernel import Address, Sysctl, Veth
from dataplane.model.observation import Observation
from tests.fakes.networks import PEERED, desired
from tests.netns.network import AppliedNetwork
from tests.netns.objects import run, set_sysctl

ROUTER = "dp-vpc-vpc-1"


def _observed() -> Observation:
    return observe.observe([wish.object for wish in desired(PEERED).wanted.values()])


@pytest.mark.parametrize("child", ["does it all", "does a part", "dies"])
def test_two_see_what_one_sees(child: str, network: AppliedNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    assert network.apply(PEERED).is_done
    run("ip", "-n", "dp-i-ecs-1", "address", "flush", "dev", "eth0")
    run("ip", "-n", ROUTER, "rule", "add", "pref", "77", "lookup", "main")
    (port,) = (
        item.a.ifname for item in _observed().objects.values() if isinstance(item, Veth) and "ecs-1" in item.mark
    )
    set_sysctl(ROUTER, f"net/ipv4/conf/{port}/rp_filter", "2")
    alone = _observed()
    assert Sysctl(ROUTER, f"net/ipv4/conf/{port}/rp_filter", "2", ifname=port) in alone.objects.values()
    assert not any(isinstance(item, Address) and item.namespace == "dp-i-ecs-1" for item in alone.objects.values())
    assert any("77" in foreign.text for foreign in alone.foreign)

    monkeypatch.setattr(observe, "_WORTH_A_CHILD", 1)
    monkeypatch.setattr(observe, "_LEAST_IN_PIECE", 1)
    answers: list[int] = []
    real = Twofold.answer

    def answer(two: Twofold) -> dict[int, object]:
        found = {} if child == "dies" else real(two)
        answers.append(len(found))
        return found

    monkeypatch.setattr(Twofold, "answer", answer)
    if child != "does a part":
        monkeypatch.setattr(Twofold, "claims", lambda two: iter(()))
    together = _observed()
    assert len(answers) == 1 and (answers[0] > 1 or child != "does it all")
    assert list(together.objects.items()) == list(alone.objects.items())
    assert (together.foreign, together.absent) == (alone.foreign, alone.absent)
