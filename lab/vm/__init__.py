"""A machine of its own with a distribution's own kernel, by qemu: ``scripts/vm -- COMMAND``.

The machine's root is this machine's root, read-only, with a layer of its own in memory above it: the same
checkout and the same environment at the same paths, and whatever happens inside is gone afterwards. It must never
write to this machine but to the cache folder and to the file that the caller asked to have brought out; with
``--boot`` to the folder that is the machine's root, and to nothing else. Two machines (``--pair``) are wired together.
"""
