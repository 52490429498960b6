"""Faults at the border that `why` must name: VBRs, their lines, the data centre behind them (R26-R54)."""

from dataplane.model import names
from dataplane.observe.why.code import Code
from dataplane.observe.why.explain import Question
from tests.fakes.networks import TWO_CIRCUITS
from tests.netns.why_faults import GOOD, Fault, Said, drift

VBR = "dp-vbr-vbr-1"
TO_CENTRE = Question("ecs-2", "172.16.5.5")
FROM_CENTRE = Question("172.16.5.5", "ecs-2")
TO_VPC = "      - {destination: 192.168.0.0/16, next_hop: {router_interface: ri-v1}}\n"
TO_LINE = "      - {destination: 172.16.0.0/16, next_hop: physical_connection}\n" + TO_VPC
CENTRE = "      - {destination: 192.168.0.0/16, via: [vbr-1, vbr-2]}\n"


def _border(
    name: str,
    forward: Said,
    back: Said | None = GOOD,
    edits: tuple[tuple[str, str], ...] = (),
    by_hand: tuple[str, ...] = (),
    question: Question = TO_CENTRE,
) -> Fault:
    return Fault(name, forward, back, edits, by_hand, question, TWO_CIRCUITS, None)


AT_THE_BORDER = (
    _border("nothing at all", GOOD),
    _border("nothing at all, from the data centre", GOOD, question=FROM_CENTRE),
    _border(
        "the VBR has no route to the VPC (R28)",
        GOOD,
        Said(Code.NO_RETURN_ROUTE, "vbr-1", "vbr-1:"),
        ((TO_VPC, ""),),
    ),
    _border(
        "the VBR has no route to the line (R28)",
        Said(Code.NO_ROUTE, "vbr-1", "vbr-1:"),
        GOOD,
        ((TO_LINE, TO_VPC),),
    ),
    _border(
        "the data centre has no route to the VPC (R72)",
        GOOD,
        Said(Code.NO_RETURN_ROUTE, "data centre idc", "routes:"),
        ((CENTRE, ""),),
    ),
    _border(
        "both legs are suspended",
        Said(Code.SUSPENDED, "vpc-a", "pcx-1:|router_interface: ri-v1"),
        Said(Code.SUSPENDED, "vbr-1", "router_interface: ri-v1"),
        (("vbr: vbr-1}", "vbr: vbr-1, state: suspended}"), ("vbr: vbr-2}", "vbr: vbr-2, state: suspended}")),
    ),
    _border(
        "from the line to the line",
        Said(Code.SPLIT_HORIZON, "vbr-1", "vbr-1:"),
        Said(Code.NO_ROUTE, "data centre idc", "routes:"),
        ((CENTRE, CENTRE + "      - {destination: 10.10.10.0/29, via: [vbr-1]}\n"),),
        question=Question("172.16.5.5", "10.10.10.3"),
    ),
    _border(
        "the card is down",
        drift(Code.NO_LINK, "vbr-1", "vbr-1:"),
        drift(Code.NO_LINK, "vbr-1", "vbr-1:"),
        by_hand=(" ip link set eth1 down",),
    ),
    _border(
        "the far end of the cable is down",
        drift(Code.NO_LINK, "vbr-1", "vbr-1:"),
        drift(Code.NO_LINK, "vbr-1", "vbr-1:"),
        by_hand=("idc ip link set up0 down",),
    ),
    _border(
        "the VLAN link is deleted",
        drift(Code.NO_LINK, "vbr-1", "vbr-1:"),
        drift(Code.NO_LINK, "vbr-1", "vbr-1:"),
        by_hand=(f"{VBR} ip link del {{line vbr-1}}",),
    ),
    _border(
        "the VLAN link is down",
        drift(Code.NO_LINK, "vbr-1", "vbr-1:"),
        drift(Code.NO_LINK, "vbr-1", "vbr-1:"),
        by_hand=(f"{VBR} ip link set {{line vbr-1}} down",),
    ),
    _border(
        "nobody answers on the line",
        drift(Code.NO_NEIGHBOUR, "vbr-1", "vbr-1:"),
        by_hand=("dp-i-ecs-2 ping -c1 -W1 172.16.5.5",),
    ),
    _border(
        "the line lost its address",
        drift(Code.NO_ADDRESS, "vbr-1", "vbr-1:"),
        by_hand=(f"{VBR} ip addr del 10.10.10.1/29 dev {{line vbr-1}}",),
    ),
    _border(
        "the line's MTU is lowered",
        drift(Code.MTU, "vbr-1", "vbr-1:"),
        by_hand=(f"{VBR} ip link set {{line vbr-1}} mtu 1000",),
        question=Question("ecs-2", "172.16.5.5", size_bytes=1400),
    ),
    _border(
        "the leg's place in its group is made a blackhole",
        drift(Code.DRIFT, "vpc-a", "active_standby"),
        by_hand=(f"dp-vpc-vpc-a ip nexthop replace id {names.place_number(1, 0)} blackhole proto 219",),
    ),
)
"""Faults of the two-circuit network (R39-R54). Nobody is at the far end of its lines, so no ping can agree."""
