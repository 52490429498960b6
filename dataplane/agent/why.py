"""`why` for the network that was applied here, or for files alone: gathers what an explanation needs.

Owns which namespaces are looked into. Must never judge what is found there (``observe/why``).
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from dataplane.agent.store import Store
from dataplane.compile.compiler import compile_network
from dataplane.config import Loaded, load_sources
from dataplane.errors import HostError
from dataplane.model import names
from dataplane.model.desired import Desired
from dataplane.model.ids import IdBook
from dataplane.model.kernel import ForwarderState, KernelObject, Key, PortProgram
from dataplane.model.path import Answer, Packet
from dataplane.model.program import FORWARDER_STATE_KEY
from dataplane.observe.why.atlas import Atlas
from dataplane.observe.why.elsewhere import host_of
from dataplane.observe.why.explain import Direction, Explainer, Explanation, Live, Question
from dataplane.observe.why.scene import Scene

_FAST_PATH = (
    "the forwarder goes first, and its tables are as the file says: such packets may pass all the same "
    "(`dataplane datapath simulate` asks it); what is said here is what the kernel does with those that it gets"
)


def explain_offline(loaded: Loaded, question: Question, here: str = "") -> Explanation:
    """Explain from files alone, as they would be applied to an empty host. Needs no root.

    Args:
        here: the id of the host that asks; empty where the files name no hosts.

    Raises:
        InvalidConfig: an instance cannot have an address (R79).
    """
    return Explainer(_atlas(loaded, compile_network(loaded, IdBook(), {}, here=here), here)).explain(question)


def _atlas(loaded: Loaded, desired: Desired, here: str) -> Atlas:
    """The words for all hosts: the parts of the others out of the same files, with the addresses given here."""
    elsewhere = {
        host: compile_network(loaded, IdBook(), desired.addresses, here=host)
        for host in loaded.network.hosts
        if host != here
    }
    return Atlas(loaded, desired, here, elsewhere)


def explain_live(state_dir: Path, question: Question) -> Explanation:
    """Explain from what was applied last and from the live kernel; of other hosts, from what was applied. Reads only.

    Raises:
        HostError: nothing is applied here, or the kernel does not answer.
        PermissionDenied: CAP_NET_ADMIN or CAP_SYS_ADMIN is missing.
    """
    from dataplane.kernel.driver import KernelDriver  # Late: offline does without the kernel.

    state = Store(state_dir).load()
    if not state.applied.sources:
        raise HostError("nothing is applied on this host: name files with --offline, or apply them first")
    driver = KernelDriver()
    loaded = load_sources(state.applied.sources)
    addresses, here = state.memory.addresses(), state.applied.host
    desired = compile_network(loaded, state.book, addresses, driver.facts(), here, state.legs)
    atlas = _atlas(loaded, desired, state.applied.host)
    # The configuration alone says which instances are on the way; routers are looked at all of them, since a
    # packet that goes astray goes through one.
    expected = Explainer(atlas).explain(question)
    observed = driver.observe([wish.object for wish in desired.wanted.values()]).objects
    found = Explainer(atlas, _look(atlas, observed, _namespaces_on(expected))).explain(question)
    back = _with_fast_path(found.back, observed) if found.back is not None else None
    return replace(found, forward=_with_fast_path(found.forward, observed), back=back)


def _with_fast_path(way: Direction, observed: Mapping[Key, KernelObject]) -> Direction:
    """Say of a way on which the kernel is not as configured that the forwarder is, and goes first."""
    state = observed.get(FORWARDER_STATE_KEY)
    if way.disagreement is None or way.live is None or not isinstance(state, ForwarderState) or state.differs:
        return way
    routers = {step.namespace for step in way.live.steps}
    programs = (item for item in observed.values() if isinstance(item, PortProgram) and item.is_current)
    if routers.isdisjoint(program.namespace for program in programs):
        return way
    return replace(way, notes=(*way.notes, _FAST_PATH))


def _namespaces_on(expected: Explanation) -> set[str]:
    traces = [way.configured for way in (expected.forward, expected.back) if way is not None]
    passed = {step.namespace for trace in traces if trace is not None for step in trace.steps}
    return {namespace for namespace in passed if not host_of(namespace)}


def _look(atlas: Atlas, observed: Mapping[Key, KernelObject], besides: set[str]) -> Live:
    """The network as it is: our objects on the whole host, all else in the namespaces that matter."""
    from dataplane.kernel.lookup import KernelLookup

    lookup = KernelLookup()
    namespaces = sorted(set(atlas.routers()) | besides)
    strangers = [item for name in namespaces for item in lookup.strangers(name) if observed.get(item.key) != item]
    scene = Scene(
        (*atlas.elsewhere(), *strangers, *observed.values()),
        [state for name in (names.HOST, *namespaces) for state in lookup.links(name)],
        [state for name in namespaces for state in lookup.neighbours(name)],
        atlas.vteps(),
    )

    def ask(namespace: str, ingress: str | None, packet: Packet) -> Answer | None:
        """This host's kernel; another one's cannot be asked."""
        return None if host_of(namespace) else lookup.route(namespace, ingress, packet)

    return Live(scene, ask, frozenset(strangers))
