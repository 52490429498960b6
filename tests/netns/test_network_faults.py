"""The kernel refuses, or its answer is lost: every errno for every kind of message of a real apply (reliability A3).

Which message of its kind is hit is a matter of chance: DATAPLANE_SEED chooses others. All of them, on a fake kernel:
``tests/unit/agent/test_faults.py``.
"""

import errno
import os
import random
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product, zip_longest

import pytest

from dataplane.agent.report import Report
from dataplane.config import Source, load_sources
from dataplane.errors import DataplaneError, HostError
from dataplane.kernel import libc, nft
from dataplane.kernel.netlink import NetlinkSocket, Part, Refusal
from dataplane.kernel.sysctl import SysctlTree
from dataplane.model.kernel import Sysctl
from tests.netns.changes import ALONE, MORE, SPANNING, TWO
from tests.netns.fingerprint import differences, fingerprint
from tests.netns.lines import cable
from tests.netns.network import AppliedNetwork, our_namespaces
from tests.netns.objects import inside, run

SEED = int(os.environ.get("DATAPLANE_SEED", "20261123"))
REFUSALS = (errno.EBUSY, errno.ENOENT, errno.ENODEV, errno.EPERM, errno.ENOSPC)
LOST_ANSWERS = (errno.EEXIST, errno.ENOBUFS, errno.EINTR, errno.ETIMEDOUT)
"""What is done all the same."""
MESSAGES = {16: "NEWLINK", 17: "DELLINK", 19: "SETLINK", 20: "NEWADDR", 21: "DELADDR", 24: "NEWROUTE", 25: "DELROUTE"}
MESSAGES |= {28: "NEWNEIGH", 29: "DELNEIGH", 32: "NEWRULE", 33: "DELRULE", 104: "NEWNEXTHOP", 105: "DELNEXTHOP"}
MESSAGES |= {36: "NEWQDISC", 37: "DELQDISC", 44: "NEWTFILTER", 45: "DELTFILTER"}
_KIND = struct.Struct("=H")
_KIND_OFFSET = 4


@dataclass
class Faults:
    """Counts what is asked of the kernel, by kind, and answers one of them with an errno.

    Args:
        kind: of the message or call that is hit; "" for none.
        at: which of its kind, from 1.
        code: the errno.
    """

    kind: str = ""
    at: int = 0
    code: int = 0
    counted: Counter[str] = field(default_factory=Counter)
    has_fired: bool = False

    def arm(self, kind: str, at: int, code: int) -> None:
        self.kind, self.at, self.code, self.has_fired = kind, at, code, False
        self.counted.clear()

    def is_hit(self, kind: str) -> bool:
        """Count one more; whether it is the one."""
        self.counted[kind] += 1
        is_hit = kind == self.kind and self.counted[kind] == self.at
        self.has_fired = self.has_fired or is_hit
        return is_hit

    @property
    def is_lost(self) -> bool:
        return self.code in LOST_ANSWERS


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    """The driver, with faults between it and the kernel."""
    there = Faults()
    execute, write = NetlinkSocket.execute, SysctlTree.write

    def faulty_execute(socket: NetlinkSocket, requests: Sequence[bytearray]) -> list[Refusal | None]:
        for index, request in enumerate(requests):
            if there.is_hit(MESSAGES[_KIND.unpack_from(request, _KIND_OFFSET)[0]]):
                before = execute(socket, requests[:index])
                if there.is_lost:
                    execute(socket, requests[index : index + 1])
                return [*before, Refusal(there.code), *faulty_execute(socket, requests[index + 1 :])]
        return execute(socket, requests)

    def faulty_write(tree: SysctlTree, wanted: Sysctl) -> str | None:
        if not there.is_hit("sysctl"):
            return write(tree, wanted)
        if there.is_lost:
            write(tree, wanted)
        return os.strerror(there.code)

    def faulty_call(name: str, call: Callable[..., None]) -> Callable[..., None]:
        def faulty(*arguments: object) -> None:
            is_hit = there.is_hit(name)
            if not is_hit or there.is_lost:
                call(*arguments)
            if is_hit:
                said = f"{name}: {os.strerror(there.code)}"
                raise HostError(said) if name == "nft" else OSError(there.code, said)

        return faulty

    monkeypatch.setattr(NetlinkSocket, "execute", faulty_execute)
    monkeypatch.setattr(SysctlTree, "write", faulty_write)
    for name in ("unshare", "mount", "umount"):
        monkeypatch.setattr(libc, name, faulty_call(name, getattr(libc, name)))
    monkeypatch.setattr(nft, "run", faulty_call("nft", nft.run))
    return there


class Seesaw:
    """A host that is changed from one file to the other and back, each time with a fault, and then without one."""

    def __init__(self, network: AppliedNetwork, faults: Faults, texts: tuple[str, str], here: str = "") -> None:
        self._network, self._faults, self._here, self.texts = network, faults, here, texts
        self.clean: dict[str, dict[str, list[str]]] = {}
        self.counted: dict[str, Counter[str]] = {}
        assert self._apply(texts[0]).is_done
        for text in reversed(texts):
            faults.counted.clear()
            assert self._apply(text).is_done
            self.counted[text] = Counter(faults.counted)
            self.clean[text] = self._picture()

    @property
    def kinds(self) -> list[str]:
        """Of messages and calls, over both directions."""
        return sorted(set().union(*self.counted.values()))

    def try_each(self, kinds: Iterable[str]) -> int:
        """Every errno for these kinds, each pair of them once, in one of the two directions.

        Returns:
            How many applies were done all the same.
        """
        chance = random.Random(SEED)
        cases: dict[str, list[tuple[str, int, int]]] = {text: [] for text in reversed(self.texts)}
        for kind, code in product(kinds, (*REFUSALS, *LOST_ANSWERS)):
            text = min((text for text in cases if self.counted[text][kind]), key=lambda text: len(cases[text]))
            cases[text].append((kind, chance.randint(1, self.counted[text][kind]), code))
        done = 0
        for cases_of in zip_longest(*cases.values()):
            for text, case in zip(cases, cases_of, strict=True):
                if case is None:
                    assert self._apply(text).is_done
                else:
                    done += self.try_with(text, *case)
        return done

    def try_with(self, text: str, kind: str, at: int, code: int) -> bool:
        """Apply with one fault, then without; what the last one leaves must be what a clean one leaves.

        Returns:
            Whether the apply with the fault was done all the same.
        """
        self._faults.arm(kind, at, code)
        what = f"DATAPLANE_SEED={SEED}: {errno.errorcode[code]} for {kind} number {at}"
        report = self._attempt(text)
        assert self._faults.has_fired, what
        is_done = report is not None and report.is_done
        if is_done:
            assert self._left(text) == [], f"{what}: said to be done, and is not"
        self._faults.kind = ""
        again = self._apply(text)
        assert again.is_done, (what, [outcome.error for outcome in again.failures], again.remaining)
        assert self._left(text) == [], what
        return is_done

    def _attempt(self, text: str) -> Report | None:
        """An apply; a sentence instead of a report is an answer, too."""
        try:
            return self._apply(text)
        except DataplaneError as error:
            assert str(error)
            return None

    def _apply(self, text: str) -> Report:
        return self._network.session().apply(load_sources([Source("network.yaml", text)]), self._here)

    def _picture(self) -> dict[str, list[str]]:
        names = our_namespaces()
        entries = {f"fdb of {name}": inside(name, "bridge", "fdb", "show").stdout.splitlines() for name in names}
        return {**fingerprint(names), **entries, "filter": run("nft", "list", "ruleset").splitlines()}

    def _left(self, text: str) -> list[str]:
        return differences(self.clean[text], self._picture())


def test_every_errno_for_every_kind_of_message_is_mended(network: AppliedNetwork, faults: Faults) -> None:
    seesaw = Seesaw(network, faults, (TWO, MORE))
    kinds = seesaw.kinds
    assert {"NEWADDR", "NEWNEIGH", "NEWNEXTHOP", "NEWROUTE", "NEWRULE", "DELRULE", "DELROUTE"} <= set(kinds)
    assert {"NEWLINK", "DELLINK", "unshare", "mount", "umount", "sysctl"} <= set(kinds)
    assert seesaw.try_each(kinds) < len(kinds) * 3, "most of them are said, and not swallowed"


def test_every_errno_while_tunnels_come_and_go_is_mended(network: AppliedNetwork, faults: Faults) -> None:
    """VXLAN links, forwarding entries, and the tool that writes the underlay filter."""
    with cable("wire0"):
        run("ip", "addr", "add", "172.20.0.11/24", "dev", "wire0")
        seesaw = Seesaw(network, faults, (ALONE, SPANNING), "host-1")
        assert {"NEWLINK", "DELLINK", "NEWNEIGH", "nft"} <= set(seesaw.kinds)
        seesaw.try_each(["NEWLINK", "DELLINK", "NEWNEIGH", "nft"])
        faults.kind = ""
        assert network.session().destroy().is_done


def test_tables_that_change_while_they_are_read_are_read_again(
    network: AppliedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NLM_F_DUMP_INTR, a buffer that ran over: what was not read is never taken for gone.

    Every other attempt at every table of a whole round gives no consistent picture.
    """
    network.must_apply(TWO)
    read, spoilt = NetlinkSocket._dump_once, Counter[str]()

    def spoilt_read(socket: NetlinkSocket, request: bytearray) -> list[Part] | None:
        found = read(socket, request)
        spoilt["reads"] += 1
        return found if spoilt["reads"] % 2 == 0 else None

    monkeypatch.setattr(NetlinkSocket, "_dump_once", spoilt_read)
    network.must_apply(MORE)
    assert network.session().status().is_healthy
    assert spoilt["reads"] > 100


def test_a_table_that_never_rests_is_one_sentence_and_the_next_apply_goes_on(
    network: AppliedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the plan, when nothing is done yet, and in the verify, when everything is."""
    network.must_apply(TWO)
    read = NetlinkSocket._dump_once
    with monkeypatch.context() as patch:
        patch.setattr(time, "sleep", lambda seconds: None)
        reads: list[bytearray] = []
        patch.setattr(
            NetlinkSocket, "_dump_once", lambda socket, request: reads.append(request) or read(socket, request)
        )
        assert network.session().status().is_healthy
        for rests in (0, len(reads)):
            countdown = iter(range(rests))

            def gives_up(
                socket: NetlinkSocket, request: bytearray, countdown: Iterator[int] = countdown
            ) -> list[Part] | None:
                return None if next(countdown, None) is None else read(socket, request)

            patch.setattr(NetlinkSocket, "_dump_once", gives_up)
            with pytest.raises(HostError, match="changed during each of 60 attempts to read it"):
                network.apply(MORE)
    network.must_apply(MORE)
