"""The lab: networks that anyone can start by name, in simulated hosts, and the traffic that proves them.

It owns what stands around the agent: hosts made of namespaces, the flows of a topology, the sniffers. It
uses the product as a user does, by its command and its files, and must never be imported by it, except
for the commands below ``dataplane lab`` (``dataplane/cli/lab.py``).
"""
