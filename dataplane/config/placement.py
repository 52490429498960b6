"""On which host each part of a network runs: the same answer on every host, from the file alone (design, section 3).

A zone without a host is on the host that asks, and so is everything where the file names no hosts.
"""

from dataclasses import dataclass
from functools import cached_property

from dataplane.config.host import DEFAULT_MTU_BYTES
from dataplane.config.network import Network
from dataplane.config.peering import PeeringEnd
from dataplane.model import names


@dataclass(frozen=True)
class Placement:
    """Where everything of a network is.

    Args:
        here: the id of the host that asks; empty where the file names no hosts.
    """

    network: Network
    here: str = ""

    def host_of_zone(self, region: str, zone: str) -> str:
        """The host that a zone runs on."""
        known = self.network.regions.get(region)
        found = known.zones.get(zone) if known is not None else None
        return (found.host if found is not None else None) or self.here

    def host_of_vswitch(self, vpc_id: str, vswitch_id: str) -> str:
        """The host of a vSwitch, and so of its instances."""
        vpc = self.network.vpcs[vpc_id]
        return self.host_of_zone(vpc.region, vpc.vswitches[vswitch_id].zone)

    def host_of_instance(self, vpc_id: str, instance_id: str) -> str:
        """The host of an instance."""
        return self.host_of_vswitch(vpc_id, self.network.vpcs[vpc_id].instances[instance_id].vswitch)

    def hosts_of_vpc(self, vpc_id: str) -> tuple[str, ...]:
        """The hosts that have a part of a VPC, in order of their ids: where its vSwitches are.

        One without vSwitches is on the first host of its region.
        """
        return self._hosts_of_vpcs[vpc_id]

    def spans_hosts(self, vpc_id: str) -> bool:
        """Whether parts of a VPC are on several hosts."""
        return len(self.hosts_of_vpc(vpc_id)) > 1

    def largest_mtu(self, vpc_id: str) -> int:
        """The largest MTU of a VPC, in bytes: the underlay's less what VXLAN needs where it spans hosts."""
        if not self.spans_hosts(vpc_id):
            return DEFAULT_MTU_BYTES
        return min(self.tunnel_mtu(host) for host in self.hosts_of_vpc(vpc_id))

    def tunnel_mtu(self, host: str) -> int:
        """The MTU inside the tunnels of a host, in bytes."""
        known = self.network.hosts.get(host)
        return (known.mtu if known is not None else DEFAULT_MTU_BYTES) - names.VXLAN_OVERHEAD_BYTES

    def host_of_vbr(self, vbr_id: str) -> str:
        """The host of a border router: where its line comes in."""
        return self.host_of_line(self.network.vbrs[vbr_id].physical_connection)

    def host_of_line(self, physical_connection: str) -> str:
        """The host that a physical connection comes in at."""
        line = self.network.physical_connections.get(physical_connection)
        point = self.network.access_points.get(line.access_point) if line is not None else None
        return (point.host if point is not None else None) or self.here

    def hosts_of_end(self, end: PeeringEnd) -> tuple[str, ...]:
        """The hosts that have a part of the router at one end of a connection."""
        return self.hosts_of_vpc(end.vpc) if end.vpc is not None else (self.host_of_vbr(end.vbr or ""),)

    @cached_property
    def _hosts_of_vpcs(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for vpc_id, vpc in self.network.vpcs.items():
            hosts = {self.host_of_vswitch(vpc_id, vswitch) for vswitch in vpc.vswitches}
            found[vpc_id] = tuple(sorted(hosts)) or (self._first_host(vpc.region),)
        return found

    def _first_host(self, region: str) -> str:
        known = self.network.regions.get(region)
        hosts = {zone.host for zone in known.zones.values() if zone.host} if known is not None else set()
        return min(hosts, default=self.here)
