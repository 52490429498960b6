"""Texts: YAML's traps, positions, depth and size, and where files may come from (reliability tests 33 to 35)."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dataplane.config import InvalidConfig, Problem, Source, load, load_sources
from dataplane.config.compose import compose
from dataplane.config.source import MAX_BYTES
from dataplane.model.resource import Origin

from .networks import text_problems

ROOT = Path(__file__).parents[3]
GOOD = "version: 1\n"


def only(*texts):
    (message,) = text_problems(*texts)
    return message


def refused(path):
    with pytest.raises(InvalidConfig) as caught:
        load([path])
    (problem,) = caught.value.problems
    return problem


def test_a_problem_prints_place_path_rule_and_remedy():
    problem = Problem("error", Origin("a.yaml", 3, 5), "vpcs.a", "it is wrong", "R78", "mend it")
    assert str(problem) == "a.yaml:3:5 vpcs.a: it is wrong (R78); mend it"
    bare = Problem("warning", Origin("a.yaml", 1, 1), "", "it is odd")
    assert str(bare) == "a.yaml:1:1: warning: it is odd"


@pytest.mark.parametrize("opener", ["[", "{", "- ", "? ", "a: [", "[{a: "])
def test_33_34_a_megabyte_of_openings_is_refused_at_once(opener):
    text = opener * (1_000_000 // len(opener))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    message = only(text)
    assert time.process_time() - started < 0.5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB
    assert message.startswith("1.yaml:1:")


def test_depth_32_is_read_and_33_is_not():
    def nested(depth):
        problems = []
        return compose("x", "[" * depth + "]" * depth, problems)

    assert nested(32).value[0].value
    with pytest.raises(Exception, match="more than 32 levels"):
        nested(33)


def test_33_a_bomb_of_aliases_is_refused():
    lines = ["a: &a [x,x,x,x,x,x,x,x,x]"]
    lines += [f"{new}: &{new} [{','.join(['*' + old] * 9)}]" for old, new in zip("abcdefg", "bcdefgh", strict=True)]
    assert "anchor" in only("\n".join(lines))


@pytest.mark.parametrize(
    "text", ["a: *b", "a: &b 1", "&b a: 1", "*b : 1", "a: !!str 1", "a: !x 1", "!!str a: 1", "<<: {a: 1}"]
)
def test_35_aliases_anchors_tags_and_merge_keys_are_refused(text):
    assert "not allowed" in only(text) or "cannot be a key" in only(text) or "has no anchor" in only(text)


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("0", 0),
        ("-17", -17),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("192.168.1.10", "192.168.1.10"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("2s", "2s"),
        ("y", "y"),
        ("nope", "nope"),
        ('"no"', "no"),
        ("'010'", "010"),
        ("2026-01-02", "2026-01-02"),
        ("02:00:00:00:00:aa", "02:00:00:00:00:aa"),
        ("1.2.3", "1.2.3"),
    ],
)
def test_35_scalars_are_those_of_yaml_1_2(written, wanted):
    problems = []
    value = compose("x", f"a: {written}", problems).plain()["a"]
    assert problems == []
    assert value == wanted
    assert type(value) is type(wanted)


AMBIGUOUS = ["yes", "No", "ON", "off", "010", "-07", "0o17", "0x1F", "0b11", "1_000", "12:34:56:10:20:30", "1:30"]
ENDLESS = ["9" * 30, ".nan", ".NaN", ".inf", "-.INF", "+.Inf", "1e400"]


@pytest.mark.parametrize("written", [*AMBIGUOUS, *ENDLESS])
def test_35_ambiguous_scalars_are_refused_with_a_hint_to_quote(written):
    problems = []
    compose("x", f"a: {written}", problems)
    (problem,) = problems
    assert (problem.origin.line, problem.origin.column, problem.path) == (1, 4, "a")
    assert "quote" in problem.remedy


def test_off_is_a_word_where_the_language_has_it():
    assert text_problems("version: 1\ndatapath: {hook: off}\n") == []
    assert len(text_problems("version: 1\ndatapath: {hook: no}\n")) == 1


def test_34_characters_that_do_not_belong_in_a_file():
    assert only("\ufeffversion: 1").startswith("1.yaml:1:1: begins with a byte order mark")
    assert only("version: 1\nvpcs:\t{}").startswith("1.yaml:2:6: a tab")
    assert only("version: 1\nvpcs: \0{}").startswith("1.yaml:2:7: the control character U+0000")
    assert only("version: 1 # \x1b[31m").startswith("1.yaml:1:14: the control character U+001B")
    assert only("version: 1\u2028vpcs: {}").startswith("1.yaml:1:11: the control character U+2028")
    assert only("version: 1 # \ud800").startswith("1.yaml:1:14: the control character U+D800")
    assert only("version: 1\n# \ufffe").startswith("1.yaml:2:3: the control character U+FFFE")
    assert text_problems("version: 1\r\naccounts: {corp: {name: 办公室}}\r\n") == []


def test_messages_never_carry_control_characters_of_the_file():
    text = 'version: 1\n"\\u001b[31m": 1\naccounts: {"a\\u0007": {name: "\\u001b[2J"}}\n'
    assert all(message.isprintable() for message in text_problems(text))
    assert len(text_problems(text)) == 3


def test_a_key_stands_once_in_a_map():
    assert "stands here twice, first at 1.yaml:2:1" in only("version: 1\nvpcs: {}\nvpcs: {}\n")


def test_several_errors_come_at_once_in_the_order_of_the_lines():
    messages = text_problems("version: 2\nprofile: aws\nvpcs: {a: {}}\n")
    assert [message.split(":")[1] for message in messages] == ["1", "2", "3", "3", "3"]


def test_a_folder_is_read_in_order_and_other_files_are_not(tmp_path):
    (tmp_path / "b.yml").write_text("accounts: {b: {}}\n")
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "c.txt").write_text("]")
    loaded = load([tmp_path])
    assert [Path(source.name).name for source in loaded.sources] == ["a.yaml", "b.yml"]
    assert set(loaded.network.accounts) == {"b"}


@pytest.mark.parametrize("kind", ["fifo", "folder", "link", "broken link"])
def test_34_only_regular_files_are_read_out_of_a_folder(tmp_path, kind):
    (tmp_path / "good").write_text(GOOD)
    (tmp_path / "a.yaml").write_text(GOOD)
    odd = tmp_path / "b.yaml"
    if kind == "fifo":
        os.mkfifo(odd)
    elif kind == "folder":
        odd.mkdir()
    else:
        odd.symlink_to(tmp_path / ("good" if kind == "link" else "nowhere"))
    problem = refused(tmp_path)
    assert problem.origin.file == str(odd)
    assert ("link" if "link" in kind else "FIFO" if kind == "fifo" else "folder") in problem.message


def test_34_fifo_device_and_missing_files_are_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    assert "FIFO" in refused(tmp_path / "pipe.yaml").message
    assert "device" in refused("/dev/zero").message
    assert "cannot be read" in refused(tmp_path / "missing.yaml").message
    assert "cannot be read" in refused("a\0b").message
    (tmp_path / "pipe.yaml").unlink()
    assert "without any" in refused(tmp_path).message


def test_a_link_to_a_regular_file_may_be_named(tmp_path):
    (tmp_path / "file").write_text(GOOD)
    (tmp_path / "link").symlink_to("file")
    assert load([tmp_path / "link"]).network.version == 1


def test_34_four_megabytes_are_the_limit(tmp_path):
    path = tmp_path / "big.yaml"
    path.write_bytes(GOOD.encode() + b"#" * (MAX_BYTES - len(GOOD)))
    assert load([path]).network.version == 1
    path.write_bytes(GOOD.encode() + b"#" * (MAX_BYTES - len(GOOD) + 1))
    assert "4 MB" in refused(path).message
    assert "4 MB" in only("#" * (MAX_BYTES + 1))


def test_bytes_that_are_not_utf_8_have_a_position(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes("version: 1\n# ü".encode() + b"\xff")
    assert (refused(path).origin.line, refused(path).origin.column) == (2, 4)


def test_standard_input_is_a_source():
    code = "from dataplane.config import load; print(load(['-']).network.version, load.__module__)"
    done = subprocess.run(
        [sys.executable, "-c", code], input=GOOD, text=True, capture_output=True, cwd=ROOT, check=True
    )
    assert done.stdout.startswith("1 ")


def test_the_fingerprint_of_one_file_is_its_sha256():
    import hashlib

    assert load_sources([Source("a", GOOD)]).sha256 == hashlib.sha256(GOOD.encode()).hexdigest()
    two = load_sources([Source("a", GOOD), Source("b", "accounts: {}")]).sha256
    assert two != load_sources([Source("b", "accounts: {}"), Source("a", GOOD)]).sha256


def test_nothing_named_is_an_error():
    with pytest.raises(InvalidConfig, match="no configuration"):
        load([])


def test_importing_the_package_loads_nothing_heavy():
    code = "import sys, dataplane.config; print(*[m for m in sys.modules if m in sys.argv[1:]])"
    heavy = ["pyroute2", "bcc", "subprocess", "ctypes.util", "psutil", "click", "rich", "asyncio"]
    done = subprocess.run([sys.executable, "-c", code, *heavy], text=True, capture_output=True, cwd=ROOT, check=True)
    assert done.stdout.split() == []


def test_ten_thousand_routes_load():
    lines = ["version: 1", "quotas: {custom_routes_per_table: 10000}", "vpcs:"]
    for number in range(10):
        lines.append(f"  vpc-{number}: ")
        lines.append(
            f"    {{account: a, region: r, cidr: 10.0.0.0/8, vswitches: {{v-{number}: {{zone: a, cidr: 10.0.0.0/16}}}},"
        )
        lines.append("     instances: {")
        lines += [f"       i-{number}-{i}: {{vswitch: v-{number}, forwarding: true}}," for i in range(100)]
        lines.append("     }, route_tables: {system: {routes: [")
        hop = f"{{instance: i-{number}-7}}"
        lines += [f"       {{destination: 20.0.{i // 250}.{i % 250}, next_hop: {hop}}}," for i in range(1000)]
        lines.append("     ]}}}")
    assert text_problems("\n".join(lines)) == []


def test_hidden_files_of_a_folder_are_left_alone(tmp_path):
    (tmp_path / "a.yaml").write_text("version: 1\n")
    (tmp_path / ".a.yaml").write_text("no: such key\n")
    (tmp_path / ".#a.yaml").symlink_to("somebody@somewhere.1234")
    assert len(load([tmp_path]).sources) == 1
