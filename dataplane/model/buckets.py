"""Which bucket of a group prefers which member: places by weight, shared out evenly, whoever goes. Pure."""

from dataplane.model.forwarding import BUCKETS, Group, GroupMode


def bucket_orders(group: Group) -> tuple[tuple[int, ...], ...]:
    """For each bucket, the positions of all members in order of preference.

    Active/standby: the same order everywhere. Load balancing: first places by weight, spread evenly; the places behind
    them are shared in the same way among the buckets of each member, so that those of one that goes spread evenly over
    those that stay, whichever these are.
    """
    everyone = tuple(range(len(group.members)))
    if group.mode is GroupMode.ACTIVE_STANDBY:
        return (everyone,) * BUCKETS
    orders: list[tuple[int, ...]] = [()] * BUCKETS
    weights = [member.weight for member in group.members]
    _share(list(range(BUCKETS)), everyone, weights, orders)
    return tuple(orders)


def _share(
    buckets: list[int], members: tuple[int, ...], weights: list[int], orders: list[tuple[int, ...]], turn: int = 0
) -> None:
    """Give each bucket its next preference among the members left, then share the rest for each member's buckets.

    Args:
        turn: the member to begin with among equals, or the first ones would be everybody's second choice.
    """
    if len(buckets) < 2:
        # One bucket is nothing to share out: any order that is another one for each will do.
        for bucket in buckets:
            orders[bucket] = (*orders[bucket], *sorted(members, key=lambda member: _mix(bucket, member)))
        return
    if not members:
        return
    given: dict[int, list[int]] = {member: [] for member in members}
    places = {member: (place - turn) % len(members) for place, member in enumerate(members)}
    for bucket in buckets:
        # The one that has least of its due (Webster's method), so that every prefix of the buckets is fair.
        chosen = min(members, key=lambda member: ((2 * len(given[member]) + 1) / weights[member], places[member]))
        given[chosen].append(bucket)
        orders[bucket] = (*orders[bucket], chosen)
    for place, (member, own) in enumerate(given.items()):
        _share(own, tuple(other for other in members if other != member), weights, orders, turn + place)


def _mix(bucket: int, member: int) -> int:
    """A number that looks like chance, and is the same on every host and in every run."""
    value = (bucket * 0x9E3779B1 + member * 0x85EBCA77 + 1) & 0xFFFFFFFF
    value = (value ^ value >> 15) * 0xC2B2AE3D & 0xFFFFFFFF
    return (value ^ value >> 13) * 0x27D4EB2F & 0xFFFFFFFF
