"""The acceptance test of a network (R123-R131): what is measured, what it may reach, and what was found. Pure.

Packets are sent and counted in ``dataplane/measure``.
"""
