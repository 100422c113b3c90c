"""Which addresses may be connected to for a stranger; the tables of IANA, and the ways around them."""

from ipaddress import IPv4Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.addresses import refusal


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "2a00::1"])
def test_public_addresses_may_be_reached(address: str) -> None:
    assert refusal(ip_address(address)) is None


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.255.255.254", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
        *("169.254.1.1", "100.64.0.1", "100.127.255.255", "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.7"),
        *("203.0.113.9", "192.88.99.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
        *("::1", "::", "fe80::1", "fec0::1", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1", "3fff::1", "2001::1"),
        *("100::1", "5f00::1", "4000::1"),
    ],
)
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    assert refusal(ip_address(address)) == "an address that is not public"


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd20:ce::254"),
        *("::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"),
    ],
)
def test_metadata_services_are_refused_even_in_an_allowed_network(address: str) -> None:
    everything = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    assert refusal(ip_address(address), everything) == "a cloud's metadata service"


@given(st.ip_addresses(v=4).map(lambda address: IPv4Address(int(address))))
def test_an_ipv4_address_inside_an_ipv6_one_is_judged_like_itself(address: IPv4Address) -> None:
    expected = refusal(address)
    for inside in (f"::ffff:{address}", f"64:ff9b::{address}"):
        assert refusal(ip_address(inside)) == expected
    six_to_four = (0x2002 << 112) | (int(address) << 80) | 1
    assert refusal(ip_address(six_to_four)) == expected


@pytest.mark.parametrize("address", ["::127.0.0.1", "64:ff9b:1::7f00:1", "::ffff:0:127.0.0.1"])
def test_older_and_local_forms_are_refused_altogether(address: str) -> None:
    assert refusal(ip_address(address)) is not None


def test_an_allowed_network_opens_itself_only() -> None:
    allowed = (ip_network("10.20.0.0/16"), ip_network("fd12::/32"))
    assert refusal(ip_address("10.20.3.4"), allowed) is None
    assert refusal(ip_address("::ffff:10.20.3.4"), allowed) is None
    assert refusal(ip_address("fd12::7"), allowed) is None
    assert refusal(ip_address("10.21.0.1"), allowed) is not None
    assert refusal(ip_address("127.0.0.1"), allowed) is not None
