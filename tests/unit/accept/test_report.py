"""What is told of a run: words, one document, JUnit, and an HTML page that stands alone."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from dataplane.accept import report, svg
from dataplane.accept.html import html
from dataplane.accept.judge import judge, judge_drill
from dataplane.accept.junit import junit
from dataplane.accept.model import Acceptance, Drill, Figures, FlowFigure, Latency, Repeat, Second
from tests.unit.accept.planned import measured


def a_run(value: float = 659e6, ratio: float = 1.0, title: str = "Handover") -> Acceptance:
    bandwidth = measured("bandwidth", limits={"bandwidth": {"share": 90}})
    seconds = tuple(Second(float(at), value / 8 / 1428, value) for at in range(1, 11))
    flows = tuple(FlowFigure(flow, value / 8, lost=0.01) for flow in bandwidth.flows)
    requests = measured("requests", limits={"requests": {"p99": "5ms"}})
    first = judge(bandwidth, Figures(value, True, seconds, flows))
    second = judge(requests, Figures(1000.0, True, seconds, latency=Latency(0.05, 0.1, 1, 20)))
    drill = Drill("ri-a1", 3.0, bandwidth.flows[0].client, bandwidth.flows[0].server, 1.2)
    drills = (judge_drill(drill, 4000, 3300, 0.7, 0.68, ("ri-a2",)),)
    facts = {"kernel": "Linux 6.18", "command": "dataplane lab accept <x>"}
    return Acceptance(title, (first, second), drills, Repeat(first.measure.label, ratio), "tc", facts)


def test_r122_a_figure_stands_beside_its_ceiling_and_the_reason() -> None:
    assert next(report.sentences(a_run())) == (
        "line bandwidth inbound: 8 flows of at most 83.33 Mbit/s (1 Gbit/s / 12, R117) by ri-a1: "
        "666.7 Mbit/s at most; 659 Mbit/s is 99 %"
    )


def test_the_summary_comes_first() -> None:
    assert report.summary(a_run()) == "Handover: passed (3 passed); forwarder: tc"
    assert report.summary(a_run(ratio=0.8)).startswith("Handover: disturbed")
    assert report.summary(a_run(100e6)).startswith("Handover: failed (2 passed, 1 failed)")


def test_rows_have_all_columns() -> None:
    run = a_run()
    assert [len(report.row(result)) for result in run.results] == [len(report.COLUMNS)] * 2
    assert report.row(run.results[0])[5:] == ("659 Mbit/s", "666.7 Mbit/s", "99 %", ">= 90 %", "passed")
    assert report.drill_row(run.drills[0]) == ("ri-a1", "3 s", "700 ms", "<= 1,200 ms", "ri-a2", "passed")


def test_side_by_side() -> None:
    rows = list(report.beside_rows([a_run(660e6), a_run(330e6)]))
    assert rows[0] == ("line", "bandwidth", "inbound", "660 Mbit/s", "330 Mbit/s", "2.00")


def test_the_document_has_numbers() -> None:
    found = report.document(a_run())
    measure = found["measures"][0]  # type: ignore[index]
    assert (found["verdict"], measure["value"], measure["ceiling"]) == ("passed", 659e6, 666666666.667)
    assert len(measure["seconds"]) == 10
    assert measure["flows"][0]["leg"] == "ri-a1"


@pytest.mark.parametrize(
    ("run", "counts"),
    [
        (a_run(), {"tests": "3", "failures": "0", "errors": "0"}),
        (a_run(100e6), {"tests": "3", "failures": "1", "errors": "0"}),
        (a_run(100e6, ratio=0.5), {"tests": "3", "failures": "0", "errors": "3"}),
    ],
    ids=["passed", "failed", "disturbed"],
)
def test_junit(run: Acceptance, counts: dict[str, str]) -> None:
    suite = ElementTree.fromstring(junit(run))
    assert {key: suite.get(key) for key in counts} == counts


class Page(HTMLParser):
    """Open tags, and every address that a page refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.charts = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.charts += tag == "svg"
        self.links += [value or "" for name, value in attributes if name in ("href", "src")]
        self.ids += [value or "" for name, value in attributes if name == "id"]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        return

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_alone() -> None:
    text = html([a_run(title="A <b> & c"), a_run(330e6)])
    page = Page(text)
    assert page.open == []
    assert page.charts >= 6
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert "http" not in text and "url(" not in text and "<script" not in text
    assert "A &lt;b&gt; &amp; c" in text and "lab accept &lt;x&gt;" in text
    for word in ("666.7 Mbit/s", "99 %", "700 ms", "Linux 6.18", "Side by side", "R122"):
        assert word in text


def test_the_page_does_not_hide_a_limit_that_is_not_enforced() -> None:
    assert "1 of 2 figures are above their ceilings" in html([a_run(900e6)])
    assert "above their ceilings" not in html([a_run(660e6)])


@pytest.mark.parametrize(("value", "found"), [(0, 1), (3, 4), (659, 800), (1e9, 1e9), (1.01e9, 2e9), (0.03, 0.04)])
def test_axes_end_at_round_numbers(value: float, found: float) -> None:
    assert svg.nice_ceiling(value) == pytest.approx(found)


def test_charts_keep_inside_their_frame() -> None:
    chart = svg.line_chart([(1.0, 0.0), (2.0, 50.0), (3.0, 100.0)], 100.0, "x", "t", 3.0)
    points = re.search(r'polyline class="line" points="([^"]*)"', chart)
    assert points is not None
    for pair in points.group(1).split():
        x, y = map(float, pair.split(","))
        assert 0 <= x <= svg.WIDTH and 0 <= y <= svg.HEIGHT
    assert "ceiling 900, far above" in svg.bar_chart([("1", 10.0)], 900.0, "x", "t")
    assert svg.meter(None) == "" and 'class="over"' in svg.meter(1.2)
