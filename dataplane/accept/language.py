"""The language of ``acceptance.yaml``: what a network must show before it is handed over. Shapes only.

::

    version: 1
    title: Handover of two leased lines
    duration: 10s                           # of each measure
    measures:
      - name: servers
        from: [ecs-1, ecs-2]                # the VPC's end: instances
        to: idc-server                      # an instance, a node of the lab, or an address
        kinds: [bandwidth, packet_rate, stream, requests]
        directions: [inbound, outbound]     # inbound: from -> to (R124); outbound: to -> from (R125)
        flows: 8
        limits:
          bandwidth: {share: 90, most: 102}         # of the ceiling, in percent: reached, and held
          packet_rate: {packets: 100000}    # a second
          stream: {rate: 500Mbps}
          requests: {requests: 1000, p99: 5ms}
    drills:
      - {leg: ri-a1, for: 5s, from: ecs-1, to: idc-server, max_outage: 900ms}
"""

from collections.abc import Mapping
from enum import StrEnum
from ipaddress import IPv4Address
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from dataplane.config.document import Model
from dataplane.config.kinds import Bandwidth, DurationMs, Kind, ResourceId, Whole
from dataplane.config.problem import shown
from dataplane.config.values import parse_address, parse_duration_ms, parse_id, parse_version, refuse

MAX_FLOWS = 64
DEFAULT_FLOWS = 8
"""The clients and servers of R124 and R127."""
DEFAULT_DURATION_MS = 10_000
"""What iperf3 runs for by itself (R127); the sources' own test takes 300 s (R124)."""
MIN_DURATION_MS, MAX_DURATION_MS = 1_000, 3_600_000
MAX_DRILL_MS = 600_000


class MeasureKind(StrEnum):
    """What is measured of a way."""

    BANDWIDTH = "bandwidth"
    PACKET_RATE = "packet_rate"
    STREAM = "stream"
    REQUESTS = "requests"


class Direction(StrEnum):
    """As R124 and R125 call it, seen from the data centre: inbound comes from the VPC."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


Target = str | IPv4Address


def _one_or_many(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _parse_target(value: Any) -> Target:
    is_address = isinstance(value, str) and value.replace(".", "").isdigit() and "." in value
    return parse_address(value) if is_address else parse_id(value)


def _parse_kind(value: Any) -> MeasureKind:
    if value not in list(MeasureKind):
        raise refuse(f"`{shown(value)}` is not a kind of measure", "R124", f"write one of {', '.join(MeasureKind)}")
    return MeasureKind(value)


def _parse_direction(value: Any) -> Direction:
    if value not in list(Direction):
        raise refuse(f"`{shown(value)}` is not a direction", "R124", "write inbound or outbound")
    return Direction(value)


def _parse_title(value: Any) -> str:
    if not isinstance(value, str) or not 2 <= len(value) <= 80 or not value.isprintable():
        raise refuse("the title is not a line of 2 to 80 characters", None, "say in a few words what is handed over")
    return value


Targets = Annotated[Target, Kind(_parse_target)]
Kinds = Annotated[tuple[Annotated[MeasureKind, Kind(_parse_kind)], ...], BeforeValidator(_one_or_many)]
Directions = Annotated[tuple[Annotated[Direction, Kind(_parse_direction)], ...], BeforeValidator(_one_or_many)]
Ids = Annotated[tuple[ResourceId, ...], BeforeValidator(_one_or_many)]


class Limits(Model):
    """What a measure must reach; nothing stands for no limit."""

    share: Annotated[int, Whole("a share in percent", 1, 100)] | None = Field(
        default=None, description="Of the ceiling, in percent."
    )
    most: Annotated[int, Whole("a share in percent", 100, 1000)] | None = Field(
        default=None, description="Of the ceiling, in percent: more, and the limit of the network is not enforced."
    )
    rate: Bandwidth | None = Field(default=None, description="Bits a second at the receiver.")
    packets: Annotated[int, Whole("packets a second", 1, 10**9)] | None = Field(
        default=None, description="Packets a second at the receiver."
    )
    requests: Annotated[int, Whole("requests a second", 1, 10**9)] | None = Field(
        default=None, description="Requests answered a second, of all clients."
    )
    p99_ms: DurationMs | None = Field(
        default=None, validation_alias="p99", description="What 99 of 100 requests stay within."
    )


_KEYS: Mapping[MeasureKind, frozenset[str]] = {
    MeasureKind.BANDWIDTH: frozenset({"share", "most", "rate"}),
    MeasureKind.PACKET_RATE: frozenset({"share", "most", "packets"}),
    MeasureKind.STREAM: frozenset({"share", "most", "rate"}),
    MeasureKind.REQUESTS: frozenset({"requests", "p99_ms"}),
}


class LimitsByKind(Model):
    """Limits of each kind."""

    bandwidth: Limits = Limits()
    packet_rate: Limits = Limits()
    stream: Limits = Limits()
    requests: Limits = Limits()

    @model_validator(mode="after")
    def _keys_fit(self) -> Self:
        for kind, keys in _KEYS.items():
            limits: Limits = getattr(self, kind)
            wrong = sorted(set(limits.model_fields_set) - keys)
            if wrong:
                known = " and ".join(sorted(key.removesuffix("_ms") for key in keys))
                word = wrong[0].removesuffix("_ms")
                raise refuse(f"{kind} has no limit `{word}`", None, f"{kind} is held against {known}")
        return self

    def of(self, kind: MeasureKind) -> Limits:
        """Those of one kind."""
        found: Limits = getattr(self, kind)
        return found


class MeasureSpec(Model):
    """Measures between some instances and one other end."""

    name: ResourceId = Field(description="What it is called in the report.")
    from_: Ids = Field(alias="from", min_length=1, description="Instances: the VPC's end.")
    to: Targets = Field(description="The other end: an instance, a node of the lab, or an address.")
    kinds: Kinds = Field(default=tuple(MeasureKind), min_length=1, description="What is measured.")
    directions: Directions = Field(
        default=tuple(Direction), min_length=1, description="inbound, outbound (R124, R125)."
    )
    flows: Annotated[int, Whole("a number of flows", 1, MAX_FLOWS, "R122")] = Field(
        default=DEFAULT_FLOWS, description="Clients, each with a server of its own (R124)."
    )
    limits: LimitsByKind = LimitsByKind()


class DrillSpec(Model):
    """A leg that is cut in silence, and how long its traffic may stand still (R54)."""

    leg: ResourceId = Field(description="A router interface that a group of the instance's VPC names.")
    for_ms: DurationMs = Field(validation_alias="for", description="How long it stays cut.")
    from_: ResourceId = Field(alias="from", description="The instance that sends meanwhile.")
    to: Targets = Field(description="Whom it sends to.")
    max_outage_ms: DurationMs = Field(validation_alias="max_outage", description="The longest outage that is borne.")

    @model_validator(mode="after")
    def _is_long_enough(self) -> Self:
        if not self.max_outage_ms < self.for_ms <= MAX_DRILL_MS:
            remedy = "cut it for longer than max_outage, and for ten minutes at most"
            raise refuse("the drill is over before an outage of that length could be seen", "R54", remedy)
        return self


def _parse_duration(value: Any) -> int:
    found = parse_duration_ms(value)
    if not MIN_DURATION_MS <= found <= MAX_DURATION_MS:
        raise refuse(f"{shown(value)} is not a duration of a measure", "R124", "write 1s to 60m; the sources take 300s")
    return found


class AcceptanceFile(Model):
    """A whole ``acceptance.yaml``."""

    version: Annotated[int, Kind(parse_version)]
    title: Annotated[str, Kind(_parse_title)] = "Acceptance test"
    duration_ms: Annotated[int, Kind(_parse_duration)] = Field(
        default=DEFAULT_DURATION_MS, validation_alias="duration", description="Of each measure (R124, R127)."
    )
    measures: tuple[MeasureSpec, ...] = Field(default=(), description="What is measured.")
    drills: tuple[DrillSpec, ...] = Field(default=(), description="Which legs are cut (R54).")

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [spec.name for spec in self.measures]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise refuse(f"two measures are called {doubled[0]}", None, "give each its own name")
        return self
