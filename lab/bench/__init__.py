"""The measurements behind ``scripts/bench``: the product beside its peers, in the same run (performance.md).

One module per group of measurements (``groups.py`` lists them). It owns what it measures with: generated networks, the
peers' scripts, statistics, tables. It uses the product as a user does, by its command, but for what only a look inside
can show; the product must never import it. Everything happens in a sandbox: the machine's own network is not touched.
"""
