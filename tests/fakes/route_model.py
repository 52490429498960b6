"""Which namespaces a packet passes, out of the file alone: the rules as a reader of the specification applies them.

It knows nothing of kernel tables, views or legs, and shares no code with the compiler: R15, R61-R63, R66, R83, R88,
D16, D17, and the source check of kernel.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Any

Plain = dict[str, Any]
GATEWAY = -3


@dataclass(frozen=True)
class _Port:
    """Where a packet came into a router: by an instance's port, or by a router interface (None)."""

    instance: str | None


class RouteModel:
    """A network as its file has it.

    Args:
        network: the configuration as plain values.
        addresses: of all instances, by id.
    """

    def __init__(self, network: Plain, addresses: Mapping[str, IPv4Address]) -> None:
        self._network = network
        self._addresses = addresses
        self._home = {name: vpc for vpc, item in network["vpcs"].items() for name in item["instances"]}
        self._peers: dict[str, tuple[str, str] | None] = {}
        for connection in network["peering_connections"].values():
            for role, other in (("initiator", "acceptor"), ("acceptor", "initiator")):
                if role in connection:
                    self._peers[connection[role]["router_interface"]] = _far(connection, other)

    def passes(
        self, source: str, destination: IPv4Address, ttl: int, *, is_spoofed: bool = False
    ) -> tuple[list[str], frozenset[str]]:
        """The namespaces in which a packet of a running instance is seen, in order; the first is the instance's own.

        Args:
            ttl: that the packet is sent with.
            is_spoofed: its source address is not the instance's.

        Returns:
            The namespaces, and those that may see it or not: a next hop that drops it anyway (R66), since whether it
            does or the router in front of it is said nowhere; and of a load-balancing group one of its members. The
            VBRs have no routes, so that what reaches one ends there.
        """
        seen = [self.namespace(source)]
        vpc, port = self._home[source], _Port(source)
        while True:
            seen.append(f"dp-vpc-{vpc}")
            if is_spoofed and not self._instance(source).get("forwarding"):
                return seen, frozenset()
            hop = self._step(vpc, port, destination)
            ttl -= 1
            if hop is None or ttl < 1:
                return seen, frozenset()
            kind, name = hop
            if kind == "one of":
                return seen, frozenset(f"dp-vbr-{vbr}" for vbr in name.split())
            if kind == "vbr":
                return [*seen, f"dp-vbr-{name}"], frozenset()
            if kind == "vpc":
                vpc, port = name, _Port(None)
                continue
            if destination != self._addresses[name] and not self._instance(name).get("forwarding"):
                return seen, frozenset([self.namespace(name)])
            seen.append(self.namespace(name))
            ttl -= 1
            if destination == self._addresses[name] or ttl < 1 or not self._arp(name, vpc, destination):
                return seen, frozenset()
            vpc, port = self._home[name], _Port(name)

    def namespace(self, instance: str) -> str:
        """Where an instance lives."""
        attach = self._instance(instance).get("attach")
        return attach["namespace"] if attach else f"dp-i-{instance}"

    def _arp(self, instance: str, vpc: str, destination: IPv4Address) -> bool:
        """Whether a forwarding instance gets rid of a packet: to an address of its own vSwitch it asks who has it, and
        the router answers only if that leads out of another port."""
        if destination not in self._cidr(self._instance(instance)["vswitch"], vpc):
            return True
        hop = self._step(vpc, _Port(instance), destination)
        return self._is_gateway(vpc, destination) or (hop is not None and hop != ("instance", instance))

    def _step(self, vpc: str, port: _Port, destination: IPv4Address) -> tuple[str, str] | None:
        """Where a router sends a packet: to an instance of its own or to another VPC; None: it ends here."""
        if self._is_gateway(vpc, destination):
            return None
        item = self._network["vpcs"][vpc]
        table = "system"
        if port.instance is not None:
            table = item["vswitches"][item["instances"][port.instance]["vswitch"]]["route_table"]
        routes = item["route_tables"].get(table, {"routes": []})["routes"]
        custom = [route for route in routes if destination in IPv4Network(route["destination"])]
        custom.sort(key=lambda route: IPv4Network(route["destination"]).prefixlen)

        system = [10] if destination in IPv4Network("100.64.0.0/10") else []
        system += [
            self._cidr(name, vpc).prefixlen for name in item["vswitches"] if destination in self._cidr(name, vpc)
        ]
        if custom and IPv4Network(custom[-1]["destination"]).prefixlen >= max(system, default=-1):
            return self._by_custom(vpc, port, custom[-1]["next_hop"])
        local = [name for name in item["instances"] if self._addresses[name] == destination and self.is_running(name)]
        return ("instance", local[0]) if local else None

    def _by_custom(self, vpc: str, port: _Port, next_hop: Plain) -> tuple[str, str] | None:
        if "instance" in next_hop:
            name = next_hop["instance"]
            return ("instance", name) if self.is_running(name) and name != port.instance else None
        if port.instance is None:
            return None  # D16
        if "router_interface" in next_hop:
            return self._peers[next_hop["router_interface"]]
        if "active_standby" in next_hop:
            pair = next_hop["active_standby"]
            return self._peers[pair["active"]] or self._peers[pair["standby"]]
        live = [peer[1] for member in next_hop["load_balance"] if (peer := self._peers[member]) is not None]
        if len(live) > 1:
            return "one of", " ".join(live)
        return ("vbr", live[0]) if live else None

    def _is_gateway(self, vpc: str, address: IPv4Address) -> bool:
        vswitches = self._network["vpcs"][vpc]["vswitches"].values()
        return any(IPv4Network(vswitch["cidr"])[GATEWAY] == address for vswitch in vswitches)

    def _cidr(self, vswitch: str, vpc: str) -> IPv4Network:
        return IPv4Network(self._network["vpcs"][vpc]["vswitches"][vswitch]["cidr"])

    def _instance(self, name: str) -> Plain:
        found: Plain = self._network["vpcs"][self._home[name]]["instances"][name]
        return found

    def is_running(self, name: str) -> bool:
        """Whether an instance is not stopped (R85)."""
        return bool(self._instance(name).get("state", "running") == "running")


def _far(connection: Plain, other: str) -> tuple[str, str] | None:
    """The router behind an end; None where the connection forwards nothing (R3, R15)."""
    if other not in connection or any(end.get("state") == "suspended" for end in connection.values()):
        return None
    kind = "vpc" if "vpc" in connection[other] else "vbr"
    return kind, str(connection[other][kind])
