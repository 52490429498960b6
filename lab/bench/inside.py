"""How long planning takes in a process that has loaded the product and read the file (T16's "plans in").

A program of its own (``python -m lab.bench.inside FILE``): it prints seconds by name as JSON. It changes nothing.
"""

import gc
import json
import sys
import time
from pathlib import Path

import dataplane.kernel.driver  # noqa: F401 (what a command loads on its way is not what is measured)
from dataplane.agent.session import Session
from dataplane.cli.context import DEFAULT_RUN, DEFAULT_STATE
from dataplane.config import load


def main() -> int:
    """Plan the file that is named, offline and against this host."""
    gc.disable()  # the collector's moments would fall now here, now there
    session, loaded = Session(DEFAULT_STATE, DEFAULT_RUN), load([Path(sys.argv[1])])
    found = {}
    for what, is_offline in (("plan when loaded, offline", True), ("plan when loaded", False)):
        began = time.perf_counter()
        session.plan(loaded, offline=is_offline)
        found[what] = time.perf_counter() - began
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
