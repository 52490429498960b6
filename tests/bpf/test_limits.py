"""What happens at the ends of things: a full table (test 57), a long walk (D17), a way that XDP cannot go."""

import errno
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from dataplane.datapath import forwarding_maps, libbpf
from dataplane.datapath.forwarder import Forwarder
from dataplane.datapath.forwarding_maps import Entries, Sizes
from dataplane.datapath.update import Update
from dataplane.errors import HostError
from dataplane.model.forwarding import (
    MAX_ROUTERS,
    FibKind,
    Forwarding,
    Hop,
    How,
    Leaf,
    LeafKind,
    Port,
    PortKind,
    Reason,
    Table,
)
from tests.bpf.programs import filled
from tests.bpf.test_groups import MAC, packet
from tests.bpf.test_program import plain_frame
from tests.fakes.forwarding_model import checksum, routed

ANYWHERE = IPv4Network("0.0.0.0/0")


def test_a_full_table_refuses_a_new_route_and_still_takes_a_changed_one() -> None:
    """57: old routes forward on; which map and which limit is in the sizes."""
    routes = {IPv4Network((f"10.0.0.{n}", 32)): Leaf(LeafKind.HOP, n) for n in range(16)}
    mac = plain_frame(0)[:6].hex(":")
    ports, tables = {1: Port(1, 0, "", "", PortKind.TRANSIT, "", 1, mac)}, {1: Table(1, "", "", routes)}
    state = Forwarding(ports, tables, fib=FibKind.LPM)
    with filled(state, Sizes(64, 16, 64, 16, 16, 4)) as there:
        fd = there.map("dp_fib")

        def write(address: str, leaf: Leaf) -> None:
            key = forwarding_maps.fib_key(1, IPv4Network(address))
            libbpf.update(fd, key, forwarding_maps.leaf_value(leaf))

        with pytest.raises(OSError) as refused:
            write("10.0.0.99/32", Leaf(LeafKind.HOP, 99))
        assert refused.value.errno == errno.ENOSPC
        write("10.0.0.3/32", Leaf(LeafKind.HOP, 33))
        for number in range(16):
            found = there.run("xdp", 1, plain_frame(int(IPv4Address(f"10.0.0.{number}")))).steps[0].leaf
            assert found == Leaf(LeafKind.HOP, 33 if number == 3 else number)


@pytest.mark.parametrize(
    ("name", "limit"),
    [("dp_port", 64), ("dp_fib", 16), ("dp_nexthop", 32), ("dp_group", 8), ("dp_group_slot", 8), ("dp_leg", 4)],
)
def test_a_full_map_is_named_with_its_limit(name: str, limit: int) -> None:
    """P8, for each map that the agent writes: all that fits is taken, one more is a sentence that says what to do."""
    sizes = Sizes(64, 16, 32, 8, 4, 4)
    with filled(Forwarding(), sizes) as there:
        fds = {one: there.map(one) for one in forwarding_maps.spec(sizes).maps}
        info = libbpf.map_info(fds[name])

        def entry(number: int) -> tuple[bytes, bytes]:
            key = number.to_bytes(4, "little")
            if name == "dp_fib":
                key = forwarding_maps.fib_key(1, IPv4Network((number, 32)))
            return key, bytes(info.value_size)

        def write(first: int, count: int) -> None:
            keys, values = zip(*(entry(number) for number in range(first, first + count)), strict=True)
            Forwarder(fds, sizes).write(Update(((name, Entries(count, b"".join(keys), b"".join(values))),)))

        write(0, limit)
        with pytest.raises(HostError, match=f"map {name} of the forwarder is full: it holds {limit} entries at most"):
            write(limit, 1)


def test_a_full_map_of_devices_is_named_with_its_limit() -> None:
    """P8: ``dp_tx``, which is written from inside a port's namespace."""
    sizes = Sizes(64, 16, 32, 8, 4, 4)
    with filled(Forwarding(), sizes) as there:
        forwarder = Forwarder({"dp_tx": there.map("dp_tx")}, sizes)
        with pytest.raises(HostError, match="map dp_tx of the forwarder is full: it holds 64 entries at most"):
            forwarder.set_device(64, 1)


@pytest.mark.parametrize("fib", FibKind)
@pytest.mark.parametrize("number", [0x1000_0000, 0x2000_0000, 0x1000_0001, 0x1FFF_FFFF, 0x5000_0001, 0xF000_0029])
@pytest.mark.parametrize("router", [1, 2])
def test_a_leaf_that_makes_no_sense_lets_nothing_through(number: int, router: int, fib: FibKind) -> None:
    """Nobody writes such a thing; were it there, the kernel would get the packet as it came."""
    with filled(replace(chain(2, Leaf(LeafKind.HOP, 2)), fib=fib)) as there:
        if fib is FibKind.LPM:
            libbpf.update(there.map("dp_fib"), forwarding_maps.fib_key(router, ANYWHERE), number.to_bytes(4, "little"))
        else:
            key, value = router.to_bytes(4, "little"), (number << 32).to_bytes(8, "little")
            libbpf.update(there.map("dp_fib_table"), key, value)
        frame = packet("10.0.0.1", 1, "10.9.0.1", 2)
        run = there.raw("xdp", 1, frame)
        assert run == (2, frame)  # XDP_PASS


def chain(length: int, last: Leaf) -> Forwarding:
    """Routers in a row, joined by their ports 1, 2, ...; the table of the last one has that leaf."""
    ports, tables, hops = {}, {}, {}
    for number in range(1, length + 1):
        far = number + 1 if number < length else 0
        ports[number] = Port(number, 1_000_000 + number, "", "", PortKind.TRANSIT, "", number, MAC)
        hops[number] = Hop(number, How.PEER, number, 1_000_000 + number, MAC, MAC, 1500, far, number)
        leaf = Leaf(LeafKind.HOP, number) if far else last
        tables[number] = Table(number, "", "", {ANYWHERE: leaf})
    return Forwarding(ports, tables, hops, {})


@pytest.mark.parametrize("length", range(1, MAX_ROUTERS + 3))
def test_xdp_walks_through_eight_routers(length: int) -> None:
    """D17: one TTL for each; one more, and the kernel gets it as it came."""
    frame = packet("10.0.0.1", 1, "10.9.0.1", 2)
    with filled(chain(length, Leaf(LeafKind.HOP, length))) as there:
        run = there.run("xdp", 1, frame)
        if length > MAX_ROUTERS:
            assert (run.reason, run.frame) == (Reason.TOO_MANY_ROUTERS, frame)
            assert {reason: count.packets for reason, count in there.counters(1).items()} == {run.reason: 1}
            return
        assert (run.reason, run.frame[22], len(run.steps)) == (Reason.FORWARDED, 64 - length, length)
        for number in range(1, length + 1):
            reason = Reason.FORWARDED if number == length else Reason.CONTINUED
            assert {reason: count.packets for reason, count in there.counters(number).items()} == {reason: 1}
            assert there.leg_counter(number).packets == 1


def test_every_checksum_at_the_edge_is_carried_on_right() -> None:
    """Ones' complement has two zeros, and one's own sum must wrap past both: all checksums near them, all lengths."""
    plain = packet("10.0.0.1", 1, "10.9.0.1", 2)
    edges = set(range(0xFFE0, 0x10000)) | set(range(0x20))
    frames = []
    for number in range(0x10000):
        made = bytearray(plain)
        made[18:20], made[24:26] = number.to_bytes(2), b"\0\0"
        made[24:26] = checksum(bytes(made[14:34]))
        if int.from_bytes(made[24:26], "little") in edges or int.from_bytes(made[24:26]) in edges:
            frames.append(bytes(made))
    assert len(frames) > 100
    for length in range(1, MAX_ROUTERS + 1):
        with filled(chain(length, Leaf(LeafKind.HOP, length))) as there:
            for frame in frames:
                sent = there.run("xdp", 1, frame).frame
                assert sent == routed(frame, 64 - length, MAC, MAC)


def test_tc_stops_at_the_first_router() -> None:
    """It cannot name a device of another namespace: the program at the far end goes on."""
    frame = packet("10.0.0.1", 1, "10.9.0.1", 2)
    with filled(chain(3, Leaf(LeafKind.HOP, 3))) as there:
        for port in (1, 2, 3):
            run = there.run("tc", port, frame)
            assert (run.reason, run.out, len(run.steps)) == (Reason.FORWARDED, port, 1)
            frame = run.frame
        assert frame[22] == 64 - 3
        assert there.run("xdp", 1, packet("10.0.0.1", 1, "10.9.0.1", 2)).frame == frame


@pytest.mark.parametrize("reason", [Reason.UNREACHABLE, Reason.PROHIBITED, Reason.LOCAL])
def test_what_a_router_on_the_way_answers_the_kernel_gets_at_the_first(reason: Reason) -> None:
    """Unchanged, so that its own walk comes to the same router with the same TTL; counted once, at the first."""
    frame = packet("10.0.0.1", 1, "10.9.0.1", 2)
    with filled(chain(3, Leaf(LeafKind.PASS, reason))) as there:
        run = there.run("xdp", 1, frame)
        assert (run.reason, run.frame, len(run.steps)) == (reason, frame, 3)
        assert [there.counters(port) for port in (2, 3)] == [{}, {}]
        assert there.counters(1)[reason].packets == 1
        assert there.leg_counter(1).packets == 0


def test_what_is_dropped_on_the_way_is_counted_where_it_is_dropped() -> None:
    frame = packet("10.0.0.1", 1, "10.9.0.1", 2)
    with filled(chain(3, Leaf(LeafKind.DROP, Reason.BLACKHOLE))) as there:
        assert there.run("xdp", 1, frame).reason is Reason.BLACKHOLE
        counted = [{reason: count.packets for reason, count in there.counters(port).items()} for port in (1, 2, 3)]
        assert counted == [{Reason.CONTINUED: 1}, {Reason.CONTINUED: 1}, {Reason.BLACKHOLE: 1}]


@pytest.mark.parametrize("how", [How.LINE, How.TUNNEL])
def test_a_line_and_a_tunnel_at_the_first_router_are_left_to_tc_and_the_kernel(how: How) -> None:
    """XDP would have to find the MAC, and make the tag or the outer header itself."""
    state = chain(1, Leaf(LeafKind.HOP, 1))
    hop = Hop(1, how, 1, 1_000_001, MAC, MAC, 1500)
    with filled(Forwarding(state.ports, state.tables, {1: hop})) as there:
        frame = packet("10.0.0.1", 1, "10.9.0.1", 2)
        assert there.run("xdp", 1, frame).reason is Reason.KERNEL_ONLY
        assert (there.run("tc", 1, frame).reason, there.run("tc", 1, frame).how) == (Reason.FORWARDED, how)


def chain_to_a_line(length: int, **changes: object) -> Forwarding:
    """Routers in a row, the last of which has a line."""
    row = chain(length, Leaf(LeafKind.HOP, length))
    line = Hop(length, How.LINE, length, 1_000_000 + length, "", MAC, 1500, 0, length, IPv4Address("10.10.10.2"))
    return replace(row, hops={**row.hops, length: replace(line, **changes)})  # type: ignore[arg-type]


@pytest.mark.parametrize("length", range(2, MAX_ROUTERS + 1))
def test_xdp_leaves_a_packet_at_the_door_of_a_lines_router(length: int) -> None:
    """As if the walk had been a router shorter (TTL, counters, legs); tc goes on, and the kernel puts the MACs on."""
    frame = packet("10.0.0.1", 1, "10.9.0.1", 2)
    with filled(chain_to_a_line(length)) as there:
        run = there.run("xdp", 1, frame)
        assert (run.reason, run.out, run.how, len(run.steps)) == (Reason.FORWARDED, length - 1, How.PEER, length - 1)
        assert run.frame == routed(frame, 64 - (length - 1), MAC, MAC)
        assert there.counters(length) == {}
        assert [there.leg_counter(leg).packets for leg in range(1, length + 1)] == [1] * (length - 1) + [0]
        last = there.run("tc", length, run.frame)
        assert (last.reason, last.out, last.how) == (Reason.FORWARDED, length, How.LINE)
        assert last.frame == run.frame[:14] + routed(frame, 64 - length, MAC, MAC)[14:]


@pytest.mark.parametrize(
    ("changes", "ttl", "reason"),
    [({"mtu": 39}, 64, Reason.TOO_BIG), ({"source_mac": ""}, 64, Reason.NO_NEIGHBOUR), ({}, 3, Reason.TTL)],
)
def test_what_a_line_does_not_take_xdp_passes_at_the_first_router(
    changes: dict[str, object], ttl: int, reason: Reason
) -> None:
    """As it came in, so that the kernel's own walk comes to the line's router, which answers."""
    frame = routed(packet("10.0.0.1", 1, "10.9.0.1", 2), ttl, MAC, MAC)
    with filled(chain_to_a_line(3, **changes)) as there:
        run = there.run("xdp", 1, frame)
        assert (run.reason, run.frame) == (reason, frame)
