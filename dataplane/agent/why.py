"""`why` for the network that was applied here, or for files alone: gathers what an explanation needs.

Owns which namespaces are looked into. Must never judge what is found there (``observe/why``).
"""

from pathlib import Path

from dataplane.agent.store import Store
from dataplane.compile.compiler import compile_network
from dataplane.config import Loaded, load_sources
from dataplane.errors import HostError
from dataplane.model import names
from dataplane.model.desired import Desired
from dataplane.model.ids import IdBook
from dataplane.observe.why.atlas import Atlas
from dataplane.observe.why.explain import Explainer, Explanation, Live, Question
from dataplane.observe.why.scene import Scene


def explain_offline(loaded: Loaded, question: Question) -> Explanation:
    """Explain from files alone, as they would be applied to an empty host. Needs no root.

    Raises:
        InvalidConfig: an instance cannot have an address (R79).
    """
    return Explainer(Atlas(loaded, compile_network(loaded, IdBook(), {}))).explain(question)


def explain_live(state_dir: Path, question: Question) -> Explanation:
    """Explain from what was applied last and from the live kernel. Reads only.

    Raises:
        HostError: nothing is applied here, or the kernel does not answer.
        PermissionDenied: CAP_NET_ADMIN or CAP_SYS_ADMIN is missing.
    """
    from dataplane.kernel.driver import KernelDriver  # Late: offline does without pyroute2.

    state = Store(state_dir).load()
    if not state.applied.sources:
        raise HostError("nothing is applied on this host: name files with --offline, or apply them first")
    driver = KernelDriver()
    loaded = load_sources(state.applied.sources)
    desired = compile_network(loaded, state.book, state.memory.addresses(), driver.facts())
    atlas = Atlas(loaded, desired)
    # The configuration alone says which instances are on the way; routers are looked at all of them, since a
    # packet that goes astray goes through one.
    expected = Explainer(atlas).explain(question)
    return Explainer(atlas, _look(atlas, desired, _hosts_on(expected))).explain(question)


def _hosts_on(expected: Explanation) -> set[str]:
    traces = [way.configured for way in (expected.forward, expected.back) if way is not None]
    return {step.namespace for trace in traces if trace is not None for step in trace.steps}


def _look(atlas: Atlas, desired: Desired, besides: set[str]) -> Live:
    """The network as it is: our objects on the whole host, all else in the namespaces that matter."""
    from dataplane.kernel.driver import KernelDriver
    from dataplane.kernel.lookup import KernelLookup

    lookup = KernelLookup()
    observed = KernelDriver().observe([wish.object for wish in desired.wanted.values()]).objects
    namespaces = sorted(set(atlas.routers()) | besides)
    strangers = [item for name in namespaces for item in lookup.strangers(name) if observed.get(item.key) != item]
    scene = Scene(
        (*strangers, *observed.values()),
        [state for name in (names.HOST, *namespaces) for state in lookup.links(name)],
        [state for name in namespaces for state in lookup.neighbours(name)],
    )
    return Live(scene, lookup.route, frozenset(strangers))
