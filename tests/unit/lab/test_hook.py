"""A network with another hook than it says: beside it where it says nothing, in its place where it does."""

from pathlib import Path

import pytest

from dataplane.config.loader import load
from dataplane.errors import HostError
from lab.hook import Hook, check_hook, files_with
from lab.model import ForwarderUse

HOOKS: tuple[Hook, ...] = ("auto", "tc", "xdp", "off")
AT_TC, AT_XDP, IDLE = (
    ForwarderUse("host-1", {"tc": 3}, 5),
    ForwarderUse("host-1", {"tc": 1, "xdp": 2}, 5),
    ForwarderUse("host-1", {"tc": 3}, 0),
)


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize(
    "said",
    [
        "",
        "datapath: {hook: xdp}\n",
        "datapath:\n  hook: off  # hook: tc\n",
        'datapath: {"hook": "tc"}\n',
        "datapath: {}\n",
    ],
)
def test_the_hook_is_the_one_that_was_asked_for(tmp_path: Path, hook: Hook, said: str) -> None:
    network = tmp_path / "network.yaml"
    network.write_text(f"version: 1\n{said}accounts: {{corp: {{uid: '12345678'}}}}\n")
    before = network.read_text()
    with files_with(network, hook) as files:
        loaded = load(files).network
        assert loaded.datapath.hook == hook
        assert list(loaded.accounts) == ["corp"]
        made = [file for file in files if file != network]
    assert not any(file.exists() for file in made)
    assert network.read_text() == before


def test_a_folder_of_files_too(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("version: 1\naccounts: {corp: {uid: '12345678'}}\n")
    (tmp_path / "b.yaml").write_text("version: 1\ndatapath: {hook: tc}\n")
    with files_with(tmp_path, "off") as files:
        assert load(files).network.datapath.hook == "off"
    with files_with(tmp_path, None) as files:
        assert files == [tmp_path]


@pytest.mark.parametrize(
    ("hook", "use", "text"),
    [
        ("off", AT_TC, "--hook off was asked for, and host-1 has the forwarder"),
        ("xdp", AT_TC, "the forwarder of host-1 is at tc"),
        ("tc", None, "the forwarder of host-1 is nowhere"),
        ("tc", IDLE, "the forwarder forwarded no packet"),
    ],
)
def test_a_proof_of_another_path_is_refused(hook: Hook, use: ForwarderUse | None, text: str) -> None:
    with pytest.raises(HostError, match=text):
        check_hook(hook, ("host-1",), () if use is None else (use,))


@pytest.mark.parametrize(("hook", "use"), [("off", None), ("tc", AT_TC), ("xdp", AT_XDP), ("auto", None), (None, IDLE)])
def test_a_proof_of_that_path_is_not(hook: Hook | None, use: ForwarderUse | None) -> None:
    check_hook(hook, ("host-1",), () if use is None else (use,))
