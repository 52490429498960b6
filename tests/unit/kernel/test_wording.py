"""Sentences about kernel objects: each names what, where and why."""

from dataplane.kernel.netlink import Refusal
from dataplane.kernel.wording import failure_sentence, foreign_sentence
from dataplane.model.kernel import Nexthop
from dataplane.model.resource import Resource
from dataplane.plan.action import Action, Verb


def test_failure_names_who_asked_and_what_the_kernel_said() -> None:
    """The whole sentence."""
    action = Action(Verb.CREATE, Nexthop("vr", 1), owner=Resource("vpc", "a"))
    assert failure_sentence(action, Refusal(22, "Invalid nexthop id")) == (
        "cannot create vr: nexthop id 1 blackhole (asked for by vpc a): EINVAL: Invalid nexthop id"
    )
    assert (
        failure_sentence(Action(Verb.DELETE, Nexthop("vr", 1)), "no") == "cannot delete vr: nexthop id 1 blackhole: no"
    )


def test_what_is_foreign_is_named_with_what_to_do() -> None:
    assert foreign_sentence(Nexthop("vr", 1)) == (
        "vr: nexthop id 1 blackhole is not ours and stands where ours belongs; remove it, or change the configuration"
    )
