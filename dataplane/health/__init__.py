"""Health of legs: the rise/fall machine, and the prober process that feeds it and flips legs in the fast path (D1-D3).

The prober is small and alone on purpose: it imports the standard library only, so that a hung or replaced agent never
delays a probe, and probes never wait for a compiler or a netlink dump.
"""
