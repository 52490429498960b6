"""The parsers take what the sources print (R129), what the tools print here, and nothing else."""

import pytest

from dataplane.accept import parse

NETPERF = """\
MIGRATED UDP STREAM TEST from 0.0.0.0 (0.0.0.0) port 0 AF_INET to 192.168.100.1 () port 0 AF_INET
Socket  Message  Elapsed      Messages
Size    Size     Time         Okay Errors   Throughput
bytes   bytes    secs            #      #   10^6bits/sec

124928 1 10.00 4532554 0 3.63
212992 10.00 1099999 0.88
"""
IPERF_LINE = "0.00-10.00 sec 237 MBytes 199 Mbits/sec 0.027 ms 500/30352 (1.6%)"
IPERF = """\
Connecting to host 127.0.0.1, port 16001
[  5] local 127.0.0.1 port 20001 connected to 127.0.0.1 port 16001
[ ID] Interval           Transfer     Bitrate         Total Datagrams
[  5]   0.00-1.00   sec  6.96 MBytes  58365 Kbits/sec  455984
- - - - - - - - - - - - - - - - - - - - - - - - -
[ ID] Interval           Transfer     Bitrate         Jitter    Lost/Total Datagrams
[  5]   0.00-1.00   sec  6.96 MBytes  58365 Kbits/sec  0.000 ms  0/455984 (0%)  sender
[  5]   0.00-1.00   sec  6.65 MBytes  55798 Kbits/sec  0.002 ms  19909/455984 (4.4%)  receiver

iperf Done.
"""


def test_r129_netperf_of_the_sources() -> None:
    found = parse.netperf_stream(NETPERF)
    assert found == parse.NetperfStream(124928, 1, 10.0, 4532554, 0, 1099999, 880_000.0)
    # "75.7 % lost at receiver" is what the rule book makes of these figures.
    assert round(found.lost * 100, 1) == 75.7


def test_r128_netperf_counts_what_came_by_the_second() -> None:
    found = parse.netperf_stream(NETPERF)
    assert found is not None
    assert round(found.packets_per_second) == 110_000


def test_r129_r130_iperf_of_the_sources() -> None:
    found = parse.iperf(IPERF_LINE)
    assert found == parse.IperfResult(10.0, 237 * 2**20, 199e6, 0.027, 500, 30352)
    assert found.packets_per_second == pytest.approx(2985.2)


def test_r128_of_iperf_the_receivers_line_counts() -> None:
    found = parse.iperf(IPERF)
    assert found is not None
    assert (found.lost, found.total, found.throughput) == (19909, 455984, 55_798_000)


def test_iperf_of_tcp_has_no_datagrams() -> None:
    text = (
        "[  5]   0.00-1.00   sec  2.17 GBytes  18655885 Kbits/sec   16             sender\n"
        "[  5]   0.00-1.00   sec  2.17 GBytes  18646472 Kbits/sec                  receiver\n"
    )
    found = parse.iperf(text)
    assert found is not None
    assert (found.throughput, found.lost, found.packets_per_second) == (18_646_472_000, None, None)


def test_netperf_requests_have_percentiles() -> None:
    text = "50th Percentile Latency Microseconds,...\n53,92,194,59.05,3926,16918.157\n"
    assert parse.netperf_requests(text) == parse.NetperfRequests(53, 92, 194, 59.05, 3926, 16918.157)


@pytest.mark.parametrize("text", ["", "establish control: are you sure there is a netserver listening?", "1 2 3"])
def test_other_text_is_nothing(text: str) -> None:
    assert (parse.netperf_stream(text), parse.netperf_requests(text), parse.iperf(text)) == (None, None, None)


def test_errors_of_iperf_are_told() -> None:
    assert parse.iperf_error("iperf3: error - unable to connect to server: Connection refused\n") == (
        "unable to connect to server: Connection refused"
    )
    assert parse.iperf_error(IPERF) == ""
