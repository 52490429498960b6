"""The networks that are measured: valid, of the size that they say, the same every time."""

import pytest

from dataplane.compile.compiler import compile_network
from dataplane.config import Loaded, Source, load_sources
from dataplane.config.source import MAX_BYTES
from dataplane.model.ids import IdBook
from dataplane.model.kernel import KernelRoute
from lab.bench import forwarding, networks, tunnels


def load(text: str) -> Loaded:
    return load_sources([Source("network.yaml", text)])


@pytest.mark.parametrize(("vpcs", "instances"), [(5, 100), (10, 300)])
def test_peered(vpcs: int, instances: int) -> None:
    """All are peered with the first, and have ways there and back: no warning."""
    loaded = load(networks.peered(vpcs, instances))
    assert loaded.warnings == ()
    assert sum(len(vpc.instances) for vpc in loaded.network.vpcs.values()) == instances
    assert len(loaded.network.peering_connections) == vpcs - 1


def test_routed() -> None:
    """The custom routes are as many as they shall be, and one change is one route."""
    before, after = (load(networks.routed(10, 200, with_change=change)) for change in (False, True))
    counts = [sum(len(table.routes) for table in vpc.route_tables.values()) for vpc in before.network.vpcs.values()]
    assert sum(counts) == 200
    tables = []
    for loaded in (before, after):
        wanted = compile_network(loaded, IdBook(), {}).wanted.values()
        tables.append({wish.object for wish in wanted if isinstance(wish.object, KernelRoute)})
    # One route is gone and another is new, in each form of the table.
    assert len(tables[0] - tables[1]) == len(tables[1] - tables[0]) == 2


def test_prefixes() -> None:
    """As many as asked for, none twice, the same every time, of every length."""
    found = networks.prefixes(1000)
    assert len(set(found)) == 1000
    assert found == networks.prefixes.__wrapped__(1000)
    assert {prefix.prefixlen for prefix in found} == {16, 18, 20, 22, 23, 24, 28}


@pytest.mark.parametrize("hook", ["off", "tc", "xdp"])
def test_forwarding(hook: str) -> None:
    """It is as it should be, without a warning, with the hook and all routes in one table."""
    loaded = load(networks.forwarding(hook, networks.prefixes(50)))
    assert loaded.warnings == ()
    assert loaded.network.datapath.hook == hook
    assert loaded.network.vbrs["border"].transit
    assert len(loaded.network.vpcs["one"].route_tables["system"].routes) == 50


def test_the_largest_table_fits_into_a_file() -> None:
    """Or the group would fail after minutes."""
    assert len(networks.forwarding("off", networks.prefixes(forwarding._IN_FILE))) < MAX_BYTES


def test_two_hosts() -> None:
    """The network of T15 is as it should be, on both hosts."""
    loaded = load(tunnels.network("tc"))
    assert loaded.warnings == ()
    assert set(loaded.network.hosts) == set(tunnels._HOSTS)
