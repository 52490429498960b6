"""Single values: what each parser takes, and the words with which it refuses the rest."""

import pytest
from pydantic_core import PydanticCustomError

from dataplane.config import values

PARSERS = {
    "address": values.parse_address,
    "destination": values.parse_destination,
    "prefix": values.parse_prefix,
    "line": values.parse_interface_address,
    "mac": values.parse_mac,
    "uid": values.parse_uid,
    "account": values.parse_account_reference,
    "bandwidth": values.parse_bandwidth,
    "duration": values.parse_duration_ms,
    "flag": values.parse_flag,
    "id": values.parse_id,
    "version": values.parse_version,
}


@pytest.mark.parametrize(
    ("parser", "written", "wanted"),
    [
        ("address", "10.0.0.1", "10.0.0.1"),
        ("destination", "10.0.0.1", "10.0.0.1/32"),
        ("destination", "0.0.0.0/0", "0.0.0.0/0"),
        ("prefix", "10.0.0.0/8", "10.0.0.0/8"),
        ("line", "10.10.10.1/30", "10.10.10.1/30"),
        ("mac", "02:AB:00:00:00:01", "02:ab:00:00:00:01"),
        ("uid", "007", "007"),
        ("account", "corp", "corp"),
        ("bandwidth", "1.25Gbps", "1250000000"),
        ("bandwidth", "1kbps", "1000"),
        ("bandwidth", "1000Gbps", "1000000000000"),
        ("bandwidth", "0.3Mbps", "300000"),
        ("duration", "1.5s", "1500"),
        ("duration", "1ms", "1"),
        ("duration", "2m", "120000"),
        ("flag", True, "True"),
        ("id", "vpc-1", "vpc-1"),
    ],
)
def test_what_is_taken(parser, written, wanted):
    assert str(PARSERS[parser](written)) == wanted


@pytest.mark.parametrize(
    ("parser", "written", "message", "remedy"),
    [
        ("address", None, "a value is missing", "write one such as 192.168.1.10"),
        ("address", {}, "a map stands where a single value belongs", "192.168.1.10"),
        ("address", [], "a list stands where a single value belongs", "192.168.1.10"),
        ("address", True, "true is read as true or false, not as a text", "192.168.1.10"),
        ("address", "10.0.0.1/24", "`10.0.0.1/24` is not an IPv4 address", "without its mask: 10.0.0.1"),
        ("address", "10.0.0.256", "`10.0.0.256` is not an IPv4 address", "192.168.1.10"),
        ("address", "10.0.0.01", "`10.0.0.01` is not an IPv4 address", "192.168.1.10"),
        ("address", "a:b", "`a:b` is not an IPv4 address", "192.168.1.10"),
        ("address", "::1", "`::1` is IPv6, which this network does not carry", "write an IPv4 address"),
        ("destination", "somewhere", "`somewhere` is not an IPv4 address", "192.168.1.10"),
        ("destination", "::/0", "`::/0` is IPv6, which this network does not carry", "write an IPv4 address"),
        ("prefix", "10.0.0.0", "`10.0.0.0` has no mask", "write 10.0.0.0/16, say"),
        ("prefix", "10.1.1.0", "`10.1.1.0` has no mask", "write 10.1.1.0/24, say"),
        ("prefix", "10.1.1.5", "`10.1.1.5` has no mask", "write 10.1.1.0/24, say"),
        ("prefix", "office", "`office` has no mask", "write 192.168.0.0/16, say"),
        ("prefix", "10.0.0.0/33", "`10.0.0.0/33` is not an IPv4 prefix", "192.168.0.0/16"),
        ("prefix", "10.0.0.0/08", "`08` is not a mask length", "a number from 0 to 32"),
        ("prefix", "10.0.0.0/255.0.0.0", "`255.0.0.0` is not a mask length", "a number from 0 to 32"),
        ("prefix", "10.0.0.0/", "`` is not a mask length", "a number from 0 to 32"),
        ("prefix", "10.0.0.0/٨", "`٨` is not a mask length", "a number from 0 to 32"),
        ("prefix", "10.0/8", "`10.0/8` is not an IPv4 prefix", "192.168.0.0/16"),
        ("prefix", "10.1.0.0/8", "`10.1.0.0/8` has host bits set", "write 10.0.0.0/8"),
        ("line", "10.10.10.1", "`10.10.10.1` has no mask length", "write 10.10.10.1/30"),
        ("line", "10.10.10/30", "`10.10.10/30` is not an IPv4 address with a mask", "10.10.10.1/30"),
        ("line", "10.10.10.1/0", "`10.10.10.1/0` has no mask length", "10.10.10.1/30"),
        ("mac", "02:00", "`02:00` is not a MAC address", "02:00:00:00:00:0a"),
        ("mac", "01:00:5e:00:00:01", "01:00:5e:00:00:01 is not the MAC address of one host", "even"),
        ("mac", "00:00:00:00:00:00", "00:00:00:00:00:00 is nobody's MAC address", "02:00:00:00:00:0a"),
        ("uid", "12a", "`12a` is not the number of an account", "digits in quotes"),
        ("uid", 12, "12 is read as a number, not as a text", 'write "12" in quotes'),
        ("account", 12, "12 is read as a number, not as a text", 'write "12" in quotes'),
        ("bandwidth", 1.5, "1.5 has no unit", "10Mbps"),
        ("bandwidth", "999bps", "`999bps` is not a bandwidth", "kbps, Mbps or Gbps"),
        ("bandwidth", "0.5kbps", "a bandwidth of 0.5kbps is out of range", "1kbps to 1000Gbps"),
        ("duration", "2", "`2` is not a duration", "200ms, 2s"),
        ("duration", 2, "2 has no unit", "write 2s or 2ms"),
        ("duration", "-1s", "`-1s` is not a duration", "200ms, 2s"),
        ("flag", "yes", "`yes` is neither true nor false", "write true or false"),
        ("id", "Web_1.a b", "`Web_1.a b` is not an id", "first and last: web-1-a-b"),
        ("version", "1", '"1" is read as a text, not as a number', "write version: 1, without quotes"),
        ("version", 2, "version 2 of the language is not known", "write version: 1"),
        ("id", "x" * 200, f"`{'x' * 61}...` is not an id", "1 to 63"),
        ("id", "a\x1b[0m", "`'a\\x1b[0m'` is not an id", "1 to 63"),
    ],
)
def test_what_is_refused_and_how(parser, written, message, remedy):
    with pytest.raises(PydanticCustomError) as caught:
        PARSERS[parser](written)
    assert caught.value.context["message"] == message
    assert remedy in caught.value.context["remedy"]
