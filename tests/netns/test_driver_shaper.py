"""Shapers and classifiers in the kernel: what is written is read back, what somebody damages is mended (D4, D5).

`tc` and `nft` are asked as well, since they are not ours.
"""

import re
import socket
from collections.abc import Iterator

import pytest

from dataplane.kernel import features, netns
from dataplane.model import names
from dataplane.model.kernel import Classifier, KernelObject, Namespace, Shaper, Sysctl, Veth, VethEnd
from dataplane.model.shaper import FIRST_LEAF
from dataplane.plan.action import Verb
from tests.netns.lines import converge
from tests.netns.objects import ROUTER_A, ROUTER_B, World, run

PORT = "dpr1"
LIMIT, CAP = 1_000_000_000, 83_333_333
TREE = Shaper(ROUTER_A, PORT, LIMIT, CAP, 64)
CLASSIFIER = Classifier(ROUTER_A, frozenset({PORT}), 64)
TC, NFT = ("ip", "netns", "exec", ROUTER_A, "tc"), ("ip", "netns", "exec", ROUTER_A, "nft")


def link(ifindex: int = 1_000_001) -> Veth:
    ends = (
        VethEnd(ROUTER_A, PORT, ifindex, "02:00:00:00:00:01"),
        VethEnd(ROUTER_B, "dpr2", 1_000_002, "02:00:00:00:00:02"),
    )
    return Veth(names.mark("peering_connection", "pcx-1"), *ends, 1500)


def desired(*limits: KernelObject) -> list[KernelObject]:
    routers = [Namespace(name, names.mark("vpc", name.removeprefix("dp-vpc-"))) for name in (ROUTER_A, ROUTER_B)]
    return [*routers, link(), *limits]


@pytest.fixture
def shaped(world: World) -> Iterator[World]:
    lacking = features.limits_lack()
    if lacking:
        pytest.skip(lacking)
    converge(world, desired(TREE, CLASSIFIER))
    yield world


def seen(world: World, *wanted: KernelObject) -> set[KernelObject]:
    return {item for item in world.seen(desired(*wanted)).values() if isinstance(item, Shaper | Classifier)}


def tree() -> str:
    """Classes and queues in the words of `tc`, without their order."""
    return "\n".join(sorted(run(*TC, "class", "show", "dev", PORT).splitlines()))


@pytest.mark.parametrize(
    "wanted",
    [
        TREE,
        Shaper(ROUTER_A, PORT, 0, 5_000_000, 64),
        Shaper(ROUTER_A, PORT, 64_000, 0, 8),
        Shaper(ROUTER_A, PORT, 10**11, 0, 64),
    ],
    ids=["usual", "no bandwidth", "a slow line", "100 Gbit/s"],
)
def test_what_is_written_is_read_back(shaped: World, wanted: Shaper) -> None:
    """With the wish, and without any memory of it; and a second time nothing is left to do."""
    classifier = Classifier(ROUTER_A, frozenset({PORT, "dpr7"}), wanted.leaves)
    converge(shaped, desired(wanted, classifier))
    assert seen(shaped, wanted, classifier) == {wanted, classifier}
    assert converge(shaped, desired(wanted, classifier)) == []
    (found,) = (item for item in seen(shaped) if isinstance(item, Shaper))
    assert found.is_whole
    assert found.leaves == wanted.leaves
    for rate, was in ((found.bandwidth, wanted.bandwidth), (found.flow, wanted.flow)):
        assert rate == (0 if was == 10**11 else pytest.approx(was, rel=1e-3))


def test_a_thousand_leaves(shaped: World) -> None:
    wanted = Shaper(ROUTER_A, PORT, LIMIT, CAP, 1024)
    converge(shaped, desired(wanted, Classifier(ROUTER_A, frozenset({PORT}), 1024)))
    assert len(tree().splitlines()) == 1025
    converge(shaped, desired(TREE, CLASSIFIER))
    assert len(tree().splitlines()) == 65


def test_d4_tc_says_what_was_meant(shaped: World) -> None:
    """Rates in bytes of frames, at most 50 ms in a queue, and room for what the card is to cut up."""
    assert "qdisc htb db: root" in run(*TC, "qdisc", "show", "dev", PORT)
    leaf = re.search(r"class htb db:105 parent db:1 leaf 1005: .* ceil (\d+)Kbit", tree())
    assert leaf is not None
    assert int(leaf[1]) == pytest.approx(CAP * 1514 / 1500 / 1000, rel=1e-3)
    queue = re.search(r"qdisc bfifo 1005: parent db:105 limit (\d+)b", run(*TC, "qdisc", "show", "dev", PORT))
    assert queue is not None
    assert int(queue[1]) == pytest.approx(CAP * 1514 / 1500 / 8 * 0.05, rel=1e-3)
    converge(shaped, desired(Shaper(ROUTER_A, PORT, LIMIT, 1_000_000, 64), CLASSIFIER))
    assert "parent db:105 limit 70000b" in run(*TC, "qdisc", "show", "dev", PORT)


def test_r106_a_rate_changes_in_place(shaped: World) -> None:
    """No class and no queue is made anew: the kernel would drop what is in them, and they would begin to count at 0."""
    converge(shaped, [*desired(TREE, CLASSIFIER), *quiet()])
    with netns.entered(ROUTER_A), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, FIRST_LEAF + 5)
        sender.bind((PORT, 0x88B5))
        for _ in range(3):
            sender.send(bytes(12) + b"\x88\xb5" + bytes(100))
    slower = Shaper(ROUTER_A, PORT, LIMIT // 2, CAP // 2, 64)
    (actions, *_) = converge(shaped, [*desired(slower, CLASSIFIER), *quiet()])
    assert [(action.verb, action.object) for action in actions] == [(Verb.CHANGE, slower)]
    for what in ("class", "qdisc"):
        shown = run(*TC, "-s", what, "show", "dev", PORT)
        assert re.search(r" (db:105|1005:) .*\n Sent 342 bytes 3 pkt", shown), what


def quiet() -> list[KernelObject]:
    """What keeps the kernel from sending by itself."""
    return [Sysctl(name, "net/ipv6/conf/all/disable_ipv6", "1") for name in (ROUTER_A, ROUTER_B)]


DAMAGE = {
    "discipline": (*TC, "qdisc", "del", "dev", PORT, "root"),
    "class": (
        *TC,
        "class",
        "change",
        "dev",
        PORT,
        "parent",
        "db:1",
        "classid",
        "db:103",
        "htb",
        "rate",
        "8kbit",
        "ceil",
        "1gbit",
    ),
    "one more class": (
        *TC,
        "class",
        "add",
        "dev",
        PORT,
        "parent",
        "db:1",
        "classid",
        "db:9999",
        "htb",
        "rate",
        "8kbit",
    ),
    "queue": (*TC, "qdisc", "del", "dev", PORT, "parent", "db:104", "handle", "1004:"),
    "root class": (*TC, "class", "change", "dev", PORT, "classid", "db:1", "htb", "rate", "9gbit", "ceil", "9gbit"),
    "rules": (*NFT, "flush", "chain", "ip", "dataplane", "leaf"),
    "ports": (*NFT, "flush", "chain", "ip", "dataplane", "leaving"),
    "one more rule": (*NFT, "insert", "rule", "ip", "dataplane", "leaf", "accept"),
    "table": (*NFT, "delete", "table", "ip", "dataplane"),
    "sleep": (*NFT, "add", "table", "ip", "dataplane", "{ flags dormant; }"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_seen_and_mended(shaped: World, damage: tuple[str, ...]) -> None:
    words, rules = tree(), run(*NFT, "list", "ruleset")
    run(*damage)
    assert seen(shaped, TREE, CLASSIFIER) != {TREE, CLASSIFIER}
    assert converge(shaped, desired(TREE, CLASSIFIER)) != []
    assert seen(shaped, TREE, CLASSIFIER) == {TREE, CLASSIFIER}
    assert (tree(), run(*NFT, "list", "ruleset")) == (words, rules)


def test_ports_come_and_go_and_flows_keep_their_leaves(shaped: World) -> None:
    """The rules with the hash are not written again: another seed would move every flow."""
    handles = re.findall(r"jhash.*# handle (\d+)", run(*NFT, "-a", "list", "ruleset"))
    assert len(handles) == 3
    converge(shaped, desired(TREE, Classifier(ROUTER_A, frozenset({PORT, "dpr8"}), 64)))
    assert re.findall(r"jhash.*# handle (\d+)", run(*NFT, "-a", "list", "ruleset")) == handles
    assert 'oifname "dpr8"' in run(*NFT, "list", "ruleset")


def test_a_link_that_is_made_anew_is_shaped_again(shaped: World) -> None:
    run("ip", "-n", ROUTER_A, "link", "del", "dev", PORT)
    converge(shaped, desired(TREE, CLASSIFIER))
    assert seen(shaped, TREE, CLASSIFIER) == {TREE, CLASSIFIER}


def test_nothing_is_left(shaped: World) -> None:
    """Twice, as after an interruption; and with the link gone before."""
    converge(shaped, desired())
    assert seen(shaped) == set()
    assert (run(*NFT, "list", "ruleset"), "htb" in run(*TC, "qdisc", "show")) == ("", False)
    for item in (TREE, CLASSIFIER):
        assert shaped.do(Verb.DELETE, item).error is None
    converge(shaped, desired(TREE, CLASSIFIER))
    run("ip", "-n", ROUTER_A, "link", "del", "dev", PORT)
    for item in (TREE, CLASSIFIER):
        assert shaped.do(Verb.DELETE, item).error is None
    assert run(*NFT, "list", "ruleset") == ""


def test_a_discipline_of_others_is_named_and_kept(world: World) -> None:
    converge(world, desired())
    run(
        *TC,
        "qdisc",
        "add",
        "dev",
        PORT,
        "root",
        "handle",
        "7:",
        "tbf",
        "rate",
        "1mbit",
        "burst",
        "10k",
        "latency",
        "1s",
    )
    before = run(*TC, "qdisc", "show", "dev", PORT)
    assert world.observe(desired()).foreign == ()
    (foreign,) = world.observe(desired(TREE)).foreign
    assert foreign.key == TREE.key
    assert foreign.text.startswith(f"the queueing discipline tbf 7: of {PORT} in namespace {ROUTER_A} is not ours")
    for verb in (Verb.CREATE, Verb.CHANGE):
        outcome = world.do(verb, TREE)
        assert outcome.is_conflict
        assert "tc qdisc del dev dpr1 root" in str(outcome.error)
    assert world.do(Verb.DELETE, TREE).error is None
    assert run(*TC, "qdisc", "show", "dev", PORT) == before


def test_a_table_of_others_is_named_and_kept(world: World) -> None:
    converge(world, desired())
    run(*NFT, "add", "table", "ip", "dataplane")
    assert world.observe(desired()).foreign == ()
    (foreign,) = world.observe(desired(CLASSIFIER)).foreign
    assert "nftables table `ip dataplane` in namespace dp-vpc-a is not ours" in foreign.text
    assert world.do(Verb.CREATE, CLASSIFIER).is_conflict
    assert world.do(Verb.DELETE, CLASSIFIER).error is None
    assert run(*NFT, "list", "ruleset").split() == ["table", "ip", "dataplane", "{", "}"]


def test_without_its_link_a_shaper_fails_alone(world: World) -> None:
    converge(world, [item for item in desired() if isinstance(item, Namespace)])
    outcomes = [world.do(Verb.CREATE, item) for item in (TREE, CLASSIFIER)]
    assert [outcome.error is None for outcome in outcomes] == [False, True]
    assert f"there is no interface {PORT} here" in str(outcomes[0].error)
