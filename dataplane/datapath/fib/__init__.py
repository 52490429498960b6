"""The multibit FIB: how routes lie in the forwarder's memory (layout), made for a table (narrow, wide), and brought in
line with a state (change). Pure but for ``memory.py``, which holds the maps.
"""
