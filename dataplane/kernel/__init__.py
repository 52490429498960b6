"""The kernel driver: netlink, namespaces and sysctls. All side effects on the slow path, and no policy."""
