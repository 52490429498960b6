"""Processors as the kernel reads them: `bitmap_parse` wants groups of 32 bits, and not more digits than that in one."""

import pytest

from dataplane.config.values import parse_cpu_mask
from dataplane.kernel.queues import _grouped


@pytest.mark.parametrize(
    ("mask", "text"),
    [(0, "0"), (0xFF, "ff"), (0xFFFFFFFF, "ffffffff"), (1 << 32, "1,00000000"), (3 << 63, "1,80000000,00000000")],
)
def test_r132_processors_in_groups(mask: int, text: str) -> None:
    assert _grouped(mask) == text
    assert parse_cpu_mask(text) == mask
