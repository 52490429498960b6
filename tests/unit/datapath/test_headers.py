"""The tree that bcc takes for a kernel's: links to what is installed, or one sentence about what is not."""

from pathlib import Path

import pytest

from dataplane.datapath import headers
from dataplane.errors import HostError


def test_missing_headers_name_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One sentence, with the remedy."""
    monkeypatch.setattr(headers, "_INSTALLED", tmp_path / "nothing")
    with pytest.raises(HostError, match="apt install linux-libc-dev"):
        headers.write_tree(tmp_path)


def test_our_header_stands_where_bcc_includes_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The rest leads to the installed ones."""
    installed, tree = tmp_path / "installed", tmp_path / "tree"
    monkeypatch.setattr(headers.sysconfig, "get_config_var", lambda _: "some-linux-gnu")
    for name in ("linux/bpf.h", "some-linux-gnu/asm/types.h"):
        (installed / name).parent.mkdir(parents=True)
        (installed / name).touch()
    monkeypatch.setattr(headers, "_INSTALLED", installed)
    headers.write_tree(tree)
    assert (tree / "include/linux/kconfig.h").read_text(encoding="utf-8") == headers.text()
    assert (tree / "include/uapi/linux/bpf.h").exists()
    assert len(list(tree.glob("arch/*/include/uapi/asm/types.h"))) == 1
