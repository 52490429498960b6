"""A topology in the words of others' tools: containerlab, Vagrant. Text out of a ``Topology``, pure.

What is written means what the lab builds (``lab/nodes.py``, ``lab/switch.py``, ``lab/behind.py``), by the commands that
a person would type. The files that come with the project are what this writes, and a test compares them.
"""
