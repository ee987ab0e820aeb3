"""Who a request comes from, and what it says."""

import pytest

from realtime.engine.requests import client_address, networks, parse_query

PROXIES = networks(["10.0.0.0/8", "::1"])


@pytest.mark.parametrize(
    ("remote", "forwarded", "address"),
    [
        ("198.51.100.7", None, "198.51.100.7"),
        ("198.51.100.7", "203.0.113.9", "198.51.100.7"),  # not one of our proxies: not believed
        ("10.1.1.1", "203.0.113.9", "203.0.113.9"),
        ("10.1.1.1", "1.1.1.1, 203.0.113.9", "203.0.113.9"),  # what the client itself wrote stands first
        ("10.1.1.1", "203.0.113.9, 10.2.2.2", "203.0.113.9"),
        ("::1", "2001:db8::5", "2001:db8::5"),
        ("10.1.1.1", "10.2.2.2", "10.1.1.1"),
        ("10.1.1.1", "garbage", "garbage"),
        ("", None, ""),
    ],
)
def test_client_address(remote: str, forwarded: str | None, address: str) -> None:
    assert client_address(remote, forwarded, PROXIES) == address


def test_without_proxies_nobody_is_believed() -> None:
    assert client_address("10.1.1.1", "203.0.113.9", ()) == "10.1.1.1"


def test_query() -> None:
    assert parse_query("/x?a=1&b=&c&d=2=3&a=4") == {"a": "4", "b": "", "d": "2=3"}
    assert parse_query("/x") == {}
