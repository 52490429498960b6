"""Runs what an acceptance has planned: programs in namespaces, and counters of the kernel (R123-R131, R170).

It decides nothing about what is enough; plans and verdicts are ``dataplane/accept``'s.
"""
