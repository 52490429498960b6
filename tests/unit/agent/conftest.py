"""State folders in memory: these tests save hundreds of times, and each time a disk would be waited for."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """A folder of the test's own, in memory where there is a place for it."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(prefix="dataplane-test-", dir=MEMORY))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
