"""What is remembered between rounds, and what is forgotten when."""

from pathlib import Path

import pytest

from dataplane.agent.session import Session
from dataplane.config import InvalidConfig
from tests.fakes.kernel import FakeKernel
from tests.fakes.networks import PEERED, network

WITHOUT = PEERED[: PEERED.index("  vpc-3:")] + PEERED[PEERED.index("peering_connections:") : PEERED.index("  pcx-2")]
WITHOUT = WITHOUT.replace("          - {destination: 10.0.0.0/8, next_hop: {router_interface: ri-3}}\n", "")
OTHER = PEERED.replace("cidr: 10.0.0.0/8", "cidr: 10.0.0.0/16")


@pytest.fixture
def kernel() -> FakeKernel:
    return FakeKernel()


@pytest.fixture
def session(tmp_path: Path, kernel: FakeKernel) -> Session:
    return Session(tmp_path / "state", tmp_path / "run", driver=kernel)


def test_r75_a_vpc_that_is_gone_may_come_back_with_another_cidr(session: Session, kernel: FakeKernel) -> None:
    """Also while something else waits, such as an instance whose namespace is in the way."""
    kernel.foreign = {("namespace", "dp-i-ecs-1"): "namespace dp-i-ecs-1 is not ours"}
    assert not session.apply(network(PEERED)).is_done
    with pytest.raises(InvalidConfig, match="R75"):
        session.apply(network(OTHER))
    assert not session.apply(network(WITHOUT)).is_done
    session.apply(network(OTHER))
    assert ("namespace", "dp-vpc-vpc-3") in kernel.objects


def test_r75_a_vpc_that_could_not_be_removed_is_remembered(session: Session, kernel: FakeKernel) -> None:
    assert session.apply(network(PEERED)).is_done
    kernel.fault = lambda _, action: "EBUSY" if action.object.key == ("namespace", "dp-vpc-vpc-3") else None
    assert not session.apply(network(WITHOUT)).is_done
    with pytest.raises(InvalidConfig, match="R75"):
        session.apply(network(OTHER))
