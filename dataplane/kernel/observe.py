"""Observation: every namespace of ours and every attached one, read once per kind, in the model's words.

Reads only. Must never decide what to do about what it sees.
"""

from collections.abc import Iterable, Mapping, Sequence

from dataplane.errors import HostError
from dataplane.kernel import (
    address,
    fdb,
    link,
    neighbour,
    netns,
    nexthop,
    offload,
    perform_shaper,
    perform_underlay,
    perform_vlan_tc,
    program,
    queues,
    route,
    rule,
    twofold,
    veth,
    vlan,
    vxlan,
)
from dataplane.kernel.findings import Findings, Packed, Wanted
from dataplane.kernel.link import Link
from dataplane.kernel.messages import Kind, Seen
from dataplane.kernel.netlink import NetlinkSocket
from dataplane.kernel.ownership import is_our_ifindex, is_our_mark
from dataplane.kernel.sysctl import Procfs
from dataplane.kernel.wording import foreign_sentence, place, stray_sentence
from dataplane.model import names
from dataplane.model.describe import describe
from dataplane.model.kernel import (
    Address,
    DeviceQueues,
    KernelObject,
    KernelRoute,
    Key,
    Namespace,
    Rule,
    Veth,
    VlanLink,
    VxlanLink,
    link_ends,
)
from dataplane.model.observation import Foreign, Observation
from dataplane.model.vxlan import UNDERLAY_FILTER_KEY

_EVERYWHERE: tuple[Kind, ...] = (address, neighbour, route)
_ROUTER_KINDS: tuple[Kind, ...] = (rule, nexthop)
_WORTH_A_CHILD = 128
"""Namespaces; fewer are read before a child has begun."""
_LEAST_IN_PIECE = 4


def observe(desired: Iterable[KernelObject]) -> Observation:
    """The live state of the host, as far as it is ours or in our way.

    Args:
        desired: says which sysctls to read, into which foreign namespaces to look, and what is in our way there.

    Raises:
        HostError: the kernel does not answer, or lacks a whole kind of object.
    """
    wished = list(desired)
    with Procfs() as procfs, netns.Journey() as journey:
        reader = _Reader(Wanted.of(wished), procfs, program.look(wished))
        reader.read_ours(journey)
        reader.read_attached(journey)
        journey.go_home()
        reader.read_host()
    return reader.finish()


class _Reader:
    """One observation in the making."""

    def __init__(self, wanted: Wanted, procfs: Procfs, programs: program.View) -> None:
        self._programs = programs
        self._wanted = wanted
        self._procfs = procfs
        self._here = Findings()
        self._host = vlan.HostView()
        self._visited: set[str] = {names.HOST}
        self._absent: set[str] = set()

    def read_ours(self, journey: netns.Journey) -> None:
        """Every namespace under our prefix. One without our mark is foreign, and nothing in it is looked at."""
        spaces = netns.list_our_names()
        self._visited.update(spaces)
        size = max(_LEAST_IN_PIECE, -(-len(spaces) // twofold.MOST_PIECES))
        pieces = [spaces[start : start + size] for start in range(0, len(spaces), size)]
        done: dict[int, Findings] = {}
        if len(spaces) >= _WORTH_A_CHILD and twofold.has_two_processors():
            done = self._read_by_two(pieces, journey)
        found = Findings()
        for number, piece in enumerate(pieces):
            found.add(done[number] if number in done else self._read_piece(piece, journey))
        self._here = found

    def _read_by_two(self, pieces: Sequence[Sequence[str]], journey: netns.Journey) -> dict[int, Findings]:
        """As many pieces as a child and this process have read; some may be missing."""
        wanted = self._wanted

        def packed(number: int) -> Packed:
            return self._read_piece(pieces[number], journey).packed(wanted)

        try:
            two = twofold.Twofold(len(pieces), packed, (journey.home,))
        except OSError:
            return {}  # no room for a child: then alone
        with two:
            done = {number: self._read_piece(pieces[number], journey) for number in two.claims()}
            return done | {number: Findings.unpacked(said, wanted) for number, said in two.answer().items()}

    def _read_piece(self, spaces: Iterable[str], journey: netns.Journey) -> Findings:
        """What is in some namespaces under our prefix."""
        self._here = Findings()
        for name in spaces:
            self._read_one(name, journey)
        return self._here

    def _read_one(self, name: str, journey: netns.Journey) -> None:
        key: Key = ("namespace", name)
        try:
            journey.go(name)
        except netns.NotANamespaceError:
            self._read_residue(name, key)
            return
        except HostError:
            return  # removed since the list was read
        with NetlinkSocket() as socket:
            links = self._read_links(socket, name)
            loopback = link.loopback_in(links)
            mark = loopback.alias if loopback is not None else ""
            if loopback is not None and is_our_mark(mark):
                self._found(Namespace(name, mark, loopback.up))
                self._here.view.our_namespaces.add(name)
                self._read_namespace(socket, name, links, names.is_router_mark(mark), journey)
            elif key in self._wanted.by_key or name in self._wanted.references:
                self._here.foreign[key] = netns.foreign_sentence(name)

    def _read_residue(self, name: str, key: Key) -> None:
        """An empty file is ours: creation uses it where it is desired; otherwise it shows, so that it is deleted."""
        if not netns.is_residue(name):
            self._here.foreign[key] = netns.foreign_sentence(name)
        elif key not in self._wanted.by_key:
            self._here.objects[key] = Namespace(name, "")

    def read_attached(self, journey: netns.Journey) -> None:
        """Namespaces that others made and instances are attached to. One that is missing is noted."""
        for reference in sorted(self._wanted.references - self._visited):
            if names.is_our_namespace_name(reference):
                continue  # still to be made
            try:
                journey.go(reference)
            except HostError:
                self._absent.add(reference)
                continue
            with NetlinkSocket() as socket:
                links = self._read_links(socket, reference)
                self._read_namespace(socket, reference, links, False, journey)

    def _read_links(self, socket: NetlinkSocket, name: str) -> list[Link]:
        try:
            return [link.read(name, part) for part in socket.dump(link.DUMP_REQUEST)]
        except HostError as error:
            raise HostError(f"cannot read the links {place(name)}: {error}") from error

    def _read_namespace(
        self, socket: NetlinkSocket, name: str, links: list[Link], is_router: bool, journey: netns.Journey
    ) -> None:
        """All kinds of one namespace, and its sysctls."""
        try:
            self._read_tables(socket, name, links, is_router)
            self._read_tunnels(socket, name, links, journey)
            if is_router:
                for seen in program.read(socket, name, links, self._programs):
                    self._found(seen)
                self._read_limits(socket, name, links)
            if self._programs.found is not None:
                # Of a router, only what joins it to others: the door of a line's router is a far end.
                ends = [one for one in links if not is_router or one.ifname.startswith(names.TRANSIT_PREFIX)]
                for end in offload.read(name, ends):
                    self._found(end)
        except HostError as error:
            raise HostError(f"cannot read the state {place(name)}: {error}") from error
        self.read_sysctls(name, links)

    def _read_tables(self, socket: NetlinkSocket, name: str, links: list[Link], is_router: bool) -> None:
        """One dump per kind."""
        self._here.view.links.extend(links)
        if is_router:
            self._here.view.routers.add(name)
        ifnames = {found.ifindex: found.ifname for found in links}
        kinds = _EVERYWHERE
        if is_router or name in self._wanted.with_router_kinds:
            kinds += _ROUTER_KINDS
        for kind in kinds:
            for part in socket.dump(kind.DUMP_REQUEST):
                seen = kind.read(name, ifnames, part)
                if seen is not None:
                    self._take(seen, is_router)

    def _read_tunnels(self, socket: NetlinkSocket, name: str, links: list[Link], journey: netns.Journey) -> None:
        """Where the sockets of VXLAN links are, and their forwarding entries: only where there are such links."""
        ifnames = {one.ifindex: one.ifname for one in links if vxlan.is_ours(one, self._here.view.our_namespaces)}
        if not ifnames:
            return
        number = journey.home_number(socket)
        if number is not None:
            self._here.home_numbers[name] = number
        for part in socket.dump(fdb.DUMP_REQUEST):
            seen = fdb.read(name, ifnames, part)
            if seen is not None:
                self._here.objects[seen.item.key] = seen.item

    def _read_limits(self, socket: NetlinkSocket, name: str, links: list[Link]) -> None:
        """Shapers and the classifier of a router."""
        for seen in perform_shaper.observe(socket, name, links, self._wanted.by_key):
            if isinstance(seen, tuple):
                key, text = seen
                self._here.foreign[key] = text
            else:
                self._found(seen)

    def _take(self, seen: Seen, is_router: bool) -> None:
        """Put one object where it belongs: ours, in our way, or of no concern."""
        item = seen.item
        if seen.is_ours or (is_router and isinstance(item, Rule) and rule.is_default(item)):
            self._found(item)
            return
        if item.key in self._wanted.by_key:
            self._here.foreign[item.key] = foreign_sentence(item)
        elif is_router and _decides(item):
            self._here.foreign[item.key] = stray_sentence(item)
        elif isinstance(item, Address):
            key = self._wanted.addresses.get((item.namespace, item.address.ip))
            if key is not None:
                self._here.foreign[key] = foreign_sentence(item)
            elif is_router and not item.address.is_loopback:
                self._here.foreign[item.key] = stray_sentence(item)

    def read_sysctls(self, reference: str, links: Iterable[Link] = ()) -> None:
        """The sysctls that are asked for in the namespace that the thread is in.

        Args:
            links: there; what the kernel has said along with them is not read once more.
        """
        settings = {one.ifname: one.settings for one in links}
        with self._procfs.tree() as tree:
            for key, wanted in self._wanted.sysctls.get(reference, ()):
                found = tree.observe(wanted, link.setting(settings, wanted))
                if found is not None:
                    self._here.objects[key] = found

    def _found(self, item: KernelObject) -> None:
        """Note an object. One that is as it is desired is noted as the desired one: a network that is as it should be
        takes no memory twice."""
        key = item.key
        wish = self._wanted.by_key.get(key)
        if wish is not None and wish == item:
            self._here.objects[wish.key] = wish
        else:
            self._here.objects[key] = item

    def read_host(self) -> None:
        """The namespace that the thread came from: parents and far ends of VLAN links, and sysctls.

        Of its links only those that could be ours are looked at as such.
        """
        try:
            with NetlinkSocket() as socket:
                self._host = perform_vlan_tc.read_host(socket)
        except HostError as error:
            raise HostError(f"cannot read the state {place(names.HOST)}: {error}") from error
        candidates = self._host.links.values()
        self._here.view.links.extend(one for one in candidates if is_our_ifindex(one.ifindex) or is_our_mark(one.alias))
        self.read_sysctls(names.HOST)
        self._read_filter()
        self._read_queues()
        state = self._programs.observed_state()
        if state is not None:
            self._here.objects[state.key] = state

    def _read_filter(self) -> None:
        """The underlay filter. Somebody else's table is of concern only where ours is to be."""
        found, is_foreign = perform_underlay.observe()
        if found is not None:
            self._here.objects[found.key] = found
        elif is_foreign and UNDERLAY_FILTER_KEY in self._wanted.by_key:
            self._here.foreign[UNDERLAY_FILTER_KEY] = perform_underlay.FOREIGN_SENTENCE

    def _read_queues(self) -> None:
        """Of the cards that somebody asks for something."""
        asked = [item for item in self._wanted.by_key.values() if isinstance(item, DeviceQueues)]
        self._here.objects |= {seen.key: seen for seen in queues.read(asked)}

    def finish(self) -> Observation:
        """Tell the kinds of links apart, pair the veths, find the links in our way, hand everything over."""
        vlans = vlan.find(self._here.view, self._host, self._wanted.vlans)
        vxlans = vxlan.find(self._here.view, self._host, self._here.home_numbers)
        self._here.objects.update(vlans.links)
        self._here.objects.update(vxlans.links)
        everything = self._here.view.links
        ours = vlans.ends | vxlans.ends
        self._here.view.links = [one for one in everything if (one.namespace, one.ifindex) not in ours]
        veths = veth.pair(self._here.view, self._wanted.veths)
        self._here.objects.update(veths)
        ours |= {(end.namespace, end.ifindex) for found in veths.values() for end in found.ends}
        strangers = [
            one for one in (*everything, *self._host.links.values()) if (one.namespace, one.ifindex) not in ours
        ]
        wanted = self._wanted
        self._here.foreign |= _links_in_the_way(strangers, {**wanted.veths, **wanted.vlans, **wanted.vxlans})
        self._here.foreign |= vlan.in_the_way(strangers, self._host, wanted.vlans)
        self._here.foreign |= vxlan.in_the_way(strangers, wanted.vxlans)
        foreign = (Foreign(key, text) for key, text in self._here.foreign.items() if key not in self._here.objects)
        return Observation(self._here.objects, tuple(foreign), frozenset(self._absent))


def _decides(item: KernelObject) -> bool:
    """Whether an object of a router has a say in where packets go: any rule, and routes in tables that rules lead to.

    The tables that the kernel makes are not among these: the rules that lead there are gone.
    """
    return isinstance(item, Rule) or (isinstance(item, KernelRoute) and item.table not in route.UNUSED_TABLES)


def _links_in_the_way(strangers: Iterable[Link], desired: Mapping[Key, Veth | VlanLink | VxlanLink]) -> dict[Key, str]:
    """Links that are not ours and have the name or the ifindex that an end of ours shall have."""
    places: dict[tuple[str, str | int], Key] = {}
    for wanted in desired.values():
        for namespace, ifname, ifindex in link_ends(wanted):
            places[namespace, ifname] = places[namespace, ifindex] = wanted.key
    found: dict[Key, str] = {}
    for stranger in strangers:
        key = places.get((stranger.namespace, stranger.ifname)) or places.get((stranger.namespace, stranger.ifindex))
        if key is not None:
            found[key] = (
                f"interface {stranger.ifname} (ifindex {stranger.ifindex}) {place(stranger.namespace)} is not ours and "
                f"stands where {describe(desired[key])} belongs; rename or remove it"
            )
    return found
