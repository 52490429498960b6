"""Figures out of samples and words, and what they mean against a file (R122, R128, R170; performance.md)."""

from ipaddress import IPv4Address

import pytest

from dataplane.accept.figures import counted_value, flow_figure, merged_latency, steady
from dataplane.accept.judge import judge, judge_drill, repeat_of
from dataplane.accept.language import MeasureKind
from dataplane.accept.model import Acceptance, Drill, Figures, Latency, Measure, Second, Tool, Verdict
from tests.unit.accept.planned import CIRCUITS, asked, measured, planner


def with_limits(kind: str, **limits: object) -> Measure:
    return measured(kind, limits={kind: limits})


def seconds(*rates: float) -> tuple[Second, ...]:
    return tuple(Second(float(at), rate / 8 / 1428, rate) for at, rate in enumerate(rates, start=1))


def test_r170_the_first_and_last_second_are_left_out() -> None:
    found = steady(seconds(10, 100, 100, 100, 20, 5), duration=5.0)
    assert [second.bits for second in found] == [100, 100, 100]


def test_r170_a_short_measure_has_a_middle_too() -> None:
    tenths = tuple(Second(at / 10, 1.0, 10.0 if at in (1, 2, 10) else 100.0) for at in range(1, 12))
    assert {second.bits for second in steady(tenths, duration=1.0)} == {100.0}


def test_streams_count_payload_however_packets_were_merged() -> None:
    """Ten segments in one packet, or one by one: the payload is the same."""
    one_by_one = Second(1.0, 10, (10 * 1448 + 10 * 52) * 8)
    merged = Second(1.0, 1, (10 * 1448 + 52) * 8)
    values = {counted_value(MeasureKind.STREAM, [second]) for second in (one_by_one, merged)}
    assert values == {10 * 1448 * 8}
    assert counted_value(MeasureKind.PACKET_RATE, [one_by_one]) == 10
    assert counted_value(MeasureKind.BANDWIDTH, []) is None


def test_r122_659_of_two_thirds_is_99_percent() -> None:
    result = judge(measured("bandwidth"), Figures(659e6))
    assert result.share == pytest.approx(0.9885)
    assert result.verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("kind", "limits", "figures", "fault"),
    [
        ("bandwidth", {"share": 90}, Figures(590e6), "88 % of the ceiling is less than 90 %"),
        ("bandwidth", {"most": 102}, Figures(816e6), "122 % of the ceiling is more than 102 %: it is not enforced"),
        ("bandwidth", {"rate": "500Mbps"}, Figures(499e6), "499 Mbit/s is less than 500 Mbit/s"),
        ("packet_rate", {"packets": 1000}, Figures(999.0), "999 packets a second are fewer than 1,000"),
        ("requests", {"requests": 10}, Figures(9.0), "9 requests a second are fewer than 10"),
        ("requests", {"p99": "5ms"}, Figures(9.0), "the round trip of the 99th percentile is not known"),
        ("stream", {}, Figures(None), "nothing came"),
        ("stream", {}, Figures(0.0), "nothing came"),
    ],
)
def test_what_is_not_reached_fails(kind: str, limits: dict[str, object], figures: Figures, fault: str) -> None:
    result = judge(with_limits(kind, **limits), figures)
    assert result.verdict is Verdict.FAILED
    assert any(text.startswith(fault) for text in result.faults), result.faults


@pytest.mark.parametrize(
    ("kind", "limits", "figures"),
    [
        ("bandwidth", {"share": 90, "most": 102, "rate": "600Mbps"}, Figures(660e6)),
        ("packet_rate", {"packets": 1000}, Figures(1000.0)),
        ("requests", {"requests": 9, "p99": "5ms"}, Figures(9.0, latency=Latency(1, 2, 5, 70))),
    ],
)
def test_what_is_reached_passes(kind: str, limits: dict[str, object], figures: Figures) -> None:
    assert judge(with_limits(kind, **limits), figures).faults == ()


def test_a_share_of_no_ceiling_is_a_fault() -> None:
    text = CIRCUITS.replace("    bandwidth: 1Gbps\n    health", "    health").replace(
        "bandwidth: 1Gbps, device", "device"
    )
    measure = measured("stream", text=text, limits={"stream": {"share": 90}})
    assert "there is no ceiling to have a share of" in judge(measure, Figures(1e9)).faults[0]


def test_a_flow_that_failed_fails_its_measure() -> None:
    measure = measured("bandwidth")
    figure = flow_figure(measure, 2, "iperf3: error - unable to connect to server: Connection refused\n")
    result = judge(measure, Figures(659e6, flows=(figure,)))
    assert result.faults == ("flow 3 from ecs-1 to server: unable to connect to server: Connection refused",)


def test_what_is_above_its_ceiling_or_was_not_seen_coming_is_noted() -> None:
    notes = judge(measured("bandwidth"), Figures(816e6, is_received=False)).notes
    assert notes[0] == "122 % of the ceiling: the limit of the file is not enforced"
    assert "R128" in notes[1]


def test_figures_of_flows_are_in_the_unit_of_the_measure() -> None:
    line = "[  5]   0.00-1.00   sec  12.2 MBytes  100000 Kbits/sec  0.003 ms  100/8000 (1.2%)  receiver\n"
    bandwidth = flow_figure(measured("bandwidth"), 0, line)
    assert bandwidth.value == pytest.approx(100e6 * 1428 / 1400)
    packets = flow_figure(measured("packet_rate"), 0, line)
    assert (packets.value, packets.lost) == (7900, pytest.approx(0.0125))


def test_figures_of_netperf() -> None:
    packets, _, requests, _ = planner(has_netperf=True).measures(
        asked(kinds=["packet_rate", "requests"]),
    )
    assert packets.tool is Tool.NETPERF
    assert flow_figure(packets, 0, "124928 1 10.00 4532554 0 3.63\n212992 10.00 1099999 0.88\n").value == 109999.9
    assert flow_figure(requests, 0, "53,92,194,59.05,3926,16918.157\n").value == 16918.157
    assert flow_figure(packets, 0, "netperf: cannot\n").error == "netperf: cannot"


def test_percentiles_are_of_all_round_trips() -> None:
    found = merged_latency({1e6: 98, 2e6: 1, 9e6: 1}, 9.5e6)
    assert found == Latency(1.0, 1.0, 2.0, 9.5)
    assert merged_latency({}, 0) is None


def drill(max_outage_s: float = 1.0) -> Drill:
    flow = measured("bandwidth").flows[0]
    return Drill("ri-a1", 3.0, flow.client, flow.server, max_outage_s)


@pytest.mark.parametrize(
    ("outage", "said", "took_over", "received", "fault"),
    [
        (1.2, None, ("ri-a2",), 900, "an outage of 1,200 ms is longer than 1,000 ms"),
        (None, 1.2, ("ri-a2",), 0, "an outage of 1,200 ms is longer than 1,000 ms"),
        (None, None, ("ri-a2",), 0, "the outage could not be measured"),
        (0.2, None, (), 900, "no other leg took over from ri-a1"),
        (4.0, None, ("ri-a2",), 0, "nothing came, neither before nor after the cut"),
    ],
)
def test_r54_drills_that_fail(outage, said, took_over, received, fault) -> None:
    found = judge_drill(drill(), 1000, received, outage, said, took_over)
    assert (found.verdict, found.faults[0]) == (Verdict.FAILED, fault)


def test_r54_a_drill_that_passes() -> None:
    assert judge_drill(drill(), 4000, 3300, 0.7, 0.68, ("ri-a2",)).verdict is Verdict.PASSED


@pytest.mark.parametrize(
    ("again", "verdict"), [(660e6, Verdict.PASSED), (590e6, Verdict.DISTURBED), (740e6, Verdict.DISTURBED)]
)
def test_a_noisy_machine_neither_passes_nor_fails(again: float, verdict: Verdict) -> None:
    first = judge(measured("bandwidth"), Figures(660e6))
    run = Acceptance("t", (first,), repeat=repeat_of(first, Figures(again)))
    assert run.verdict is verdict


def test_disturbed_comes_before_failed() -> None:
    first = judge(with_limits("bandwidth", share=100), Figures(600e6))
    assert first.verdict is Verdict.FAILED
    run = Acceptance("t", (first,), repeat=repeat_of(first, Figures(300e6)))
    assert run.verdict is Verdict.DISTURBED


def test_nothing_measured_is_not_passed() -> None:
    assert Acceptance("t", ()).verdict is Verdict.SKIPPED


def test_a_skipped_measure_says_why() -> None:
    (found, _) = planner(server=IPv4Address("172.16.9.9")).measures(asked(to="nobody", kinds="requests"))
    result = judge(found, Figures(None))
    assert (result.verdict, result.faults) == (Verdict.SKIPPED, ())
    assert "netperf" in result.notes[0]
