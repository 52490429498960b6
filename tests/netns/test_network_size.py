"""500 namespaces with 1,000 veth ends: built, found whole, and one route of it changed alone (reliability G72)."""

import subprocess
from ipaddress import IPv4Network

from dataplane.kernel import netns
from dataplane.model.kernel import ForwarderState, KernelRoute, Veth
from tests.fakes.networks import desired, many
from tests.netns.fingerprint import differences, fingerprint
from tests.netns.network import AppliedNetwork, our_namespaces
from tests.netns.objects import run

VPCS, INSTANCES = 20, 480
TEXT = many(VPCS, INSTANCES)
SAMPLE = 8
"""Instances whose whole content is compared; of the routers all are."""


def our_links() -> set[tuple[str, str]]:
    """(namespace, interface) of all links but ``lo``, by `ip` in every namespace."""
    names = our_namespaces()
    script = "\n".join(f"echo {name}; ip -n {name} -o link show type veth" for name in names)
    found, where = set(), ""
    for line in run("sh", "-c", script).splitlines():
        if ":" in line:
            found.add((where, line.split()[1].split("@")[0].rstrip(":")))
        else:
            where = line
    return found


def test_72_five_hundred_namespaces_are_built_whole_and_changed_in_one_place(network: AppliedNetwork) -> None:
    assert network.apply(TEXT).is_done
    wanted = desired(TEXT).wanted.values()
    ends = {(end.namespace, end.ifname) for wish in wanted if isinstance(wish.object, Veth) for end in wish.object.ends}
    assert len(our_namespaces()) == VPCS + INSTANCES
    assert our_links() == ends and len(ends) == 2 * (INSTANCES + VPCS - 1)
    routers = [f"dp-vpc-v{number}" for number in range(VPCS)]
    sample = [*routers, *our_namespaces()[:SAMPLE]]
    before = fingerprint(sample)

    route = "{destination: 10.7.0.0/16, next_hop: {router_interface: ri-0-7}}"
    report = network.apply(TEXT.replace(route, route.replace("10.7.0.0/16", "10.7.0.0/20")))
    assert report.is_done
    changed = {action.object for action in report.planned.actions}
    assert {type(item) for item in changed} == {KernelRoute, ForwarderState}
    assert {str(item.destination) for item in changed if isinstance(item, KernelRoute)} == {
        "10.7.0.0/16",
        "10.7.0.0/20",
    }
    left = differences(before, fingerprint(sample))
    assert left and all(line.startswith("dp-vpc-v0: ") and " 10.7.0.0/" in line for line in left), left

    assert network.apply(TEXT).is_done
    assert differences(before, fingerprint(sample)) == []
    targets = [IPv4Network(f"10.{number}.0.0/20")[1] for number in range(VPCS)]
    with netns.entered("dp-i-i0-0"):
        pings = [subprocess.Popen(["ping", "-c1", "-W2", str(one)], stdout=subprocess.DEVNULL) for one in targets]
    assert [one.wait() for one in pings] == [0] * VPCS
