"""As many circuits to one data centre as a group has legs (R50, R51), as a user writes them."""

from dataclasses import dataclass

DEVICE = "wire"
"""What the devices of the lines are called, with a number behind it."""


@dataclass(frozen=True)
class Circuits:
    """As many circuits as one group has legs, and what is the matter with each.

    Args:
        mode: ``load_balance`` or ``active_standby``.
        suspended, dropping: numbers of circuits from 0.
    """

    count: int
    mode: str = "load_balance"
    suspended: frozenset[int] = frozenset()
    dropping: frozenset[int] = frozenset()

    @property
    def legs(self) -> list[str]:
        return [f"ri-a{n}" for n in range(self.count)]

    @property
    def text(self) -> str:
        hop = f"{{load_balance: [{', '.join(self.legs)}]}}"
        if self.mode == "active_standby":
            hop = f"{{active_standby: {{active: {self.legs[0]}, standby: {self.legs[1]}}}}}"
        lines = [
            "version: 1",
            "accounts: {corp: {uid: '1'}}",
            "regions: {r: {zones: {a: {}}}}",
            "access_points: {ap: {region: r}}",
            "vpcs:",
            "  vpc-a:",
            "    account: corp",
            "    region: r",
            "    cidr: 192.168.0.0/16",
            "    vswitches: {vsw: {zone: a, cidr: 192.168.1.0/24}}",
            "    instances: {ecs: {vswitch: vsw, ip: 192.168.1.10}}",
            f"    route_tables: {{system: {{routes: [{{destination: 172.16.0.0/16, next_hop: {hop}}}, "
            "{destination: 10.9.0.0/16, next_hop: {router_interface: ri-a0}}]}}",
        ]
        everyone = range(self.count)
        lines.append("physical_connections:")
        lines += [f"  pc-{n}: {{account: corp, access_point: ap, device: {DEVICE}{n}}}" for n in everyone]
        lines.append("vbrs:")
        lines += [
            f"  vbr-{n}: {{account: corp, physical_connection: pc-{n}, vlan: 9, local_ip: 10.10.{n}.1/30, "
            f"peer_ip: 10.10.{n}.2, routes: [{{destination: 172.16.0.0/16, next_hop: physical_connection}}, "
            f"{{destination: 192.168.0.0/16, next_hop: {{router_interface: ri-v{n}}}}}]}}"
            for n in everyone
        ]
        lines.append("peering_connections:")
        for n in everyone:
            lines += self._connection(n)
        return "\n".join(lines) + "\n"

    def _connection(self, n: int) -> list[str]:
        state = ", state: suspended" if n in self.suspended else ""
        drop = ", on_all_down: drop" if n in self.dropping else ""
        return [
            f"  pcx-{n}:",
            f"    initiator: {{router_interface: ri-v{n}, vbr: vbr-{n}{state}}}",
            f"    acceptor: {{router_interface: ri-a{n}, vpc: vpc-a}}",
            f"    health_check: {{source: 192.168.10.{n + 1}, destination: 10.10.{n}.2{drop}}}",
        ]
