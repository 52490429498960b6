"""Impairments of wires: what the file may say, and what is asked of the kernel with netem and without."""

from collections.abc import Sequence
from contextlib import nullcontext

import pytest
from pydantic import ValidationError

from dataplane.errors import HostError
from lab import impair
from lab.around import End, WireSpec

ENDS = (End("router", "lan"), End("server", "eth0"))


@pytest.mark.parametrize(
    ("text", "parts"), [("1%", 100), ("0.5%", 50), ("99.99%", 9999), ("0.01%", 1), ("12.3%", 1230)]
)
def test_a_loss_is_so_many_of_ten_thousand(text: str, parts: int) -> None:
    assert WireSpec.model_validate({"ends": ["a/b", "c/d"], "loss": text}).loss == parts


@pytest.mark.parametrize("value", ["0%", "0.0%", "100%", "1", 1, "1.234%", "-1%", "%"])
def test_what_is_no_loss_is_refused(value: object) -> None:
    with pytest.raises(ValidationError, match="this is not a loss of packets"):
        WireSpec.model_validate({"ends": ["a/b", "c/d"], "loss": value})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What commands are run, on a kernel without netem."""
    commands: list[str] = []

    def run(words: Sequence[str], text: str = "") -> str:
        commands.append(" ".join(words) + (f": {text}" if text else ""))
        return "Error: Specified qdisc kind is unknown." if "netem" in words else ""

    monkeypatch.setattr(impair, "_run", run)
    monkeypatch.setattr(impair, "in_network", lambda descriptor: nullcontext())
    return commands


def test_with_netem_one_qdisc_does_it_all(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(impair, "_run", lambda words, text="": asked.append(" ".join(words)) or "")
    impair.impair(ENDS, impair.Impairment(50, 20, 10_000_000), {"router": 3, "server": 4})
    assert asked == [
        f"tc qdisc replace dev {ifname} root netem loss 0.5% delay 20ms rate 10000000bit" for ifname in ("lan", "eth0")
    ]


def test_without_netem_a_bucket_and_a_rule_stand_in(asked: list[str]) -> None:
    impair.impair(ENDS[:1], impair.Impairment(loss=3000, rate=10_000_000), {"router": 3})
    _, bucket, rules = asked
    assert bucket == "tc qdisc replace dev lan root tbf rate 10000000bit burst 32768 latency 50ms"
    assert 'hook egress device "lan"' in rules and "random mod 10000 < 3000 drop" in rules
    assert rules.index("delete table") < rules.index("chain out"), "done twice, there is one rule"


def test_without_netem_a_delay_is_refused_by_its_name(asked: list[str]) -> None:
    with pytest.raises(HostError, match=r"a delay at router/lan takes the kernel's netem \(CONFIG_NET_SCH_NETEM\)"):
        impair.impair(ENDS, impair.Impairment(delay_ms=20), {"router": 3, "server": 4})


def test_a_wire_without_impairments_is_left_alone() -> None:
    assert not impair.NO_IMPAIRMENT
