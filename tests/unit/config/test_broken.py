"""The corpus of broken files: each with every message that it gives, word for word.

To add one: write ``broken/<what>.yaml``, run this test, and put the messages that you agree with into
``broken/<what>.expected``.
"""

from pathlib import Path

import pytest

from dataplane.config import InvalidConfig, load
from dataplane.errors import ConfigError

BROKEN = Path(__file__).parent / "broken"
FILES = sorted(BROKEN.glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_broken_file_says_all_of_it(path, monkeypatch):
    monkeypatch.chdir(BROKEN)
    with pytest.raises(InvalidConfig) as caught:
        load([path.name])
    assert str(caught.value).splitlines() == path.with_suffix(".expected").read_text().splitlines()
    assert isinstance(caught.value, ConfigError)
    assert caught.value.exit_code == 4


def test_the_corpus_is_there_and_complete():
    assert len(FILES) > 25
    assert {path.stem for path in BROKEN.glob("*.expected")} == {path.stem for path in FILES}
