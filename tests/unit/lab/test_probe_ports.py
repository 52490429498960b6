"""Client ports tell the TCP probes of a run apart."""

from lab.traffic.probe import _CLIENT_PORTS, pick_client_ports


def test_ports_of_earlier_batches_are_not_used_again() -> None:
    """Seen in emulation: a straggler of one batch was taken for a leak in the next."""
    used: frozenset[int] = frozenset()
    for _ in range(100):
        picked = frozenset(pick_client_ports(64, frozenset({443}), used))
        assert len(picked) == 64
        assert 443 not in picked
        assert picked.isdisjoint(used)
        used |= picked


def test_when_all_were_used_they_are_used_again() -> None:
    assert len(pick_client_ports(8, frozenset(), frozenset(_CLIENT_PORTS))) == 8
