"""Rounds over a fake kernel: units that fail, what stands in the way, what is said (P2; reliability 21, 40)."""

from pathlib import Path

import pytest

from dataplane.agent.session import Session
from dataplane.config import InvalidConfig
from dataplane.model.forwarding import Reason
from dataplane.model.kernel import ForwarderState, KernelObject, Key, Namespace, PortProgram
from dataplane.model.simulation import Count
from dataplane.model.traffic import Traffic
from dataplane.plan.action import Action, Verb
from tests.fakes.kernel import FakeKernel, Killed
from tests.fakes.networks import PEERED, many, network

SUSPENDED = PEERED.replace("vpc: vpc-1}", "vpc: vpc-1, state: suspended}", 1)
TWO_VPCS = (
    PEERED[: PEERED.index("  vpc-3:")] + PEERED[PEERED.index("peering_connections:") : PEERED.index("  pcx-2")]
).replace("          - {destination: 10.0.0.0/8, next_hop: {router_interface: ri-3}}\n", "")
AT_TC, AT_TC_SUSPENDED = (
    text.replace("version: 1\n", "version: 1\ndatapath: {hook: tc}\n") for text in (PEERED, SUSPENDED)
)


class Host:
    """A host with its own state folder and a fake kernel."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.kernel = folder, FakeKernel()

    def session(self) -> Session:
        return Session(self.folder / "state", self.folder / "run", driver=self.kernel)

    def fingerprint(self) -> dict[Key, KernelObject]:
        return dict(self.kernel.objects)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def prepared(folder: Path, before: str | None) -> Host:
    host = Host(folder)
    if before is not None:
        assert host.session().apply(network(before)).is_done
    host.kernel.operations = 0
    return host


def test_a_second_apply_has_nothing_to_do_and_writes_nothing(host: Host) -> None:
    assert host.session().apply(network(PEERED)).is_done
    state = host.folder / "state" / "state.sqlite"
    before, operations = (state.stat().st_mtime_ns, state.read_bytes()), host.kernel.operations
    report = host.session().apply(network(PEERED))
    assert report.is_done and report.planned.actions == ()
    assert host.kernel.operations == operations
    assert (state.stat().st_mtime_ns, state.read_bytes()) == before


def test_r167_status_has_both_ends_of_every_connection_and_their_dates(host: Host) -> None:
    host.session().apply(network(PEERED))
    first, second = host.session().status().connections[:2]
    assert (first.id, first.status, first.connected_at) == ("pcx-1", "Active", first.created_at)
    assert first.initiator is not None and first.acceptor is not None and first.created_at
    assert (first.initiator.router_interface, first.initiator.router, first.initiator.status) == (
        "ri-1",
        "vpc vpc-1",
        "Active",
    )
    host.session().apply(network(SUSPENDED))
    changed, same = host.session().status().connections[:2]
    assert changed.initiator is not None and changed.acceptor is not None
    assert (changed.status, changed.initiator.status, changed.acceptor.status) == ("Inactive", "Inactive", "Active")
    assert (changed.created_at, changed.connected_at, same) == (first.created_at, None, second)


def test_what_is_raised_on_the_host_is_said_first(host: Host) -> None:
    planned = host.session().plan(network(PEERED))
    assert any("net.ipv4.neigh.default.gc_thresh3 >= 65536" in note for note in planned.notes)


def test_destroy_needs_no_file_and_leaves_nothing(host: Host) -> None:
    host.session().apply(network(PEERED))
    report = host.session().destroy()
    assert report.is_done
    assert [key for key in host.kernel.objects if key[0] != "sysctl"] == []
    assert any("vpc vpc-1" in note for note in report.planned.notes)
    assert host.session().status().applied_at == ""
    assert list((host.folder / "state").iterdir()) == []


def test_what_an_interrupted_first_apply_left_is_not_healthy(tmp_path: Path) -> None:
    """No file was applied, and objects of ours are there: `status` must not say that all is well."""
    host = prepared(tmp_path, None)

    def die(number: int, action: Action) -> str | None:
        if number == 30:
            raise Killed
        return None

    host.kernel.fault = die
    with pytest.raises(Killed):
        host.session().apply(network(PEERED))
    host.kernel.fault = None
    status = host.session().status()
    assert (status.is_healthy, status.applied_at) == (False, "")
    assert "vpc vpc-1" in status.leftovers
    assert host.session().destroy().is_done
    assert host.session().status().is_healthy


def test_a_removal_of_many_stays_a_sentence(host: Host) -> None:
    host.session().apply(network(many(1, 20)))
    (note,) = host.session().destroy().planned.notes
    assert note.startswith("removes instance ")
    assert note.endswith(" more: no longer asked for")
    assert note.count(", ") == 9


def test_a_failed_unit_goes_back_and_the_others_stay(tmp_path: Path) -> None:
    """P2: vpc-3 and its connection fail; vpc-1 and vpc-2 are changed all the same."""
    host = prepared(tmp_path, TWO_VPCS)

    def fault(number: int, action: Action) -> str | None:
        item = action.object
        is_it = isinstance(item, Namespace) and item.name == "dp-i-ecs-3" and action.verb is Verb.CREATE
        return "ENOMEM" if is_it else None

    host.kernel.fault = fault
    text = PEERED.replace(
        "ecs-2: {vswitch: vsw-2, ip: 192.168.1.10}",
        "ecs-2: {vswitch: vsw-2, ip: 192.168.1.10}, ecs-9: {vswitch: vsw-2}",
    )
    report = host.session().apply(network(text))
    assert report.rolled_back == ("vpc-3",)
    names = {key[1] for key in host.kernel.objects if key[0] == "namespace"}
    assert names == {"dp-vpc-vpc-1", "dp-vpc-vpc-2", "dp-i-ecs-1", "dp-i-ecs-2", "dp-i-ecs-9"}
    assert not [key for key in host.kernel.objects if key[0] == "veth" and "pcx-2" in str(key)]


def test_a_failed_change_of_a_unit_restores_what_it_had(tmp_path: Path) -> None:
    host = prepared(tmp_path, PEERED)
    before = host.fingerprint()
    text = PEERED.replace(
        "{destination: 10.0.0.0/8, next_hop: {router_interface: ri-3}}",
        "{destination: 10.1.0.0/16, next_hop: {router_interface: ri-3}}",
    )
    host.kernel.fault = lambda number, action: (
        "EIO" if action.object.key[0] == "route" and action.verb is Verb.CREATE else None
    )
    report = host.session().apply(network(text))
    assert "vpc-2" in report.rolled_back
    assert host.fingerprint() == before


def test_a_foreign_object_holds_up_its_own_resource_only(tmp_path: Path) -> None:
    host = prepared(tmp_path, None)
    host.kernel.foreign = {("namespace", "dp-i-ecs-3"): "namespace dp-i-ecs-3 is not ours"}
    report = host.session().apply(network(PEERED))
    assert not report.is_done and report.rolled_back == ()
    assert any("dp-i-ecs-3 is not ours" in str(outcome.error) for outcome in report.failures)
    assert ("namespace", "dp-vpc-vpc-3") in host.kernel.objects
    assert ("namespace", "dp-i-ecs-2") in host.kernel.objects
    host.kernel.foreign = {}
    assert host.session().apply(network(PEERED)).is_done


def test_a_forbidden_change_changes_nothing(tmp_path: Path) -> None:
    """P6 with R75."""
    host = prepared(tmp_path, PEERED)
    before = host.fingerprint()
    with pytest.raises(InvalidConfig, match="R75"):
        host.session().apply(network(PEERED.replace("cidr: 10.0.1.0/24", "cidr: 10.0.0.0/23")))
    assert host.fingerprint() == before and host.kernel.operations == 0


def test_a_lost_state_file_costs_no_link(tmp_path: Path) -> None:
    """Links are adopted by their marks (style, rule 6); tables are built beside the old ones and swapped."""
    host = prepared(tmp_path, PEERED)
    links = {key: item for key, item in host.kernel.objects.items() if key[0] == "veth"}
    (tmp_path / "state" / "state.sqlite").unlink()
    report = host.session().apply(network(PEERED))
    assert report.is_done
    assert {key: item for key, item in host.kernel.objects.items() if key[0] == "veth"} == links
    assert not [action for action in report.planned.actions if action.object.key[0] in ("veth", "namespace", "address")]
    assert host.session().apply(network(PEERED)).planned.actions == ()


def test_status_says_what_is_missing_and_what_is_too_much(tmp_path: Path) -> None:
    host = prepared(tmp_path, SUSPENDED)
    status = host.session().status()
    assert status.is_healthy
    states = {str(item.resource): item.state for item in status.resources}
    assert states["peering_connection pcx-1"] == "Inactive"
    assert states["peering_connection pcx-2"] == "Active"
    host.kernel._delete(host.kernel.objects["veth", "dataplane instance/ecs-2"])
    host.kernel._delete(host.kernel.objects["namespace", "dp-i-ecs-1"])
    broken = {str(item.resource): (item.state, item.reason) for item in host.session().status().unhealthy}
    assert broken["instance ecs-2"][0] == "Degraded"
    assert "is missing" in broken["instance ecs-1"][1]


def test_offline_plan_needs_neither_kernel_nor_state(tmp_path: Path) -> None:
    session = Session(tmp_path / "nowhere", tmp_path / "nowhere", driver=None)
    planned = session.plan(network(PEERED), offline=True)
    assert planned.actions and not (tmp_path / "nowhere").exists()


def test_a_forwarder_that_cannot_be_told_is_taken_off(host: Host) -> None:
    """What it knows is old: the kernel alone forwards by what is asked for now, and the failure is said."""
    assert host.session().apply(network(AT_TC)).is_done
    host.kernel.fault = lambda _, action: "ENOSPC map dp_fib" if isinstance(action.object, ForwarderState) else None
    report = host.session().apply(network(AT_TC_SUSPENDED))
    assert "ENOSPC map dp_fib" in (report.failures[0].error or "")
    assert report.rolled_back == ()
    assert not [item for item in host.kernel.objects.values() if isinstance(item, PortProgram)]
    host.kernel.fault = None
    assert host.session().apply(network(AT_TC_SUSPENDED)).is_done
    assert [item for item in host.kernel.objects.values() if isinstance(item, PortProgram)]


def test_status_says_what_the_forwarder_has_dropped(host: Host) -> None:
    assert host.session().apply(network(AT_TC)).is_done
    host.kernel.counted = Traffic({(1, Reason.SPOOFED_SOURCE): Count(3, 300), (1, Reason.FORWARDED): Count(9, 900)})
    found = host.session().status()
    assert "frames dropped by the forwarder: 3 from an address that is not the sender's own" in found.notes
    assert found.traffic is not None
    assert found.traffic.ports["instance/ecs-1"][Reason.FORWARDED] == Count(9, 900)
