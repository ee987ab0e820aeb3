"""What an Engine.IO request says before it has a session: its query, its few CGI names, who sent it."""

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

ENVIRON_HEADERS = (
    "origin",
    "user-agent",
    "host",
    "cookie",
    "authorization",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "access-control-request-headers",
)
_CGI_NAMES = tuple((name, "HTTP_" + name.upper().replace("-", "_")) for name in ENVIRON_HEADERS)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Refused(Exception):
    """An HTTP answer instead of a session."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


def parse_query(raw_path: str) -> dict[str, str]:
    """Our parameters need no unescaping; one that comes twice counts as its last."""
    pairs = raw_path.partition("?")[2].split("&")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


def make_environ(
    method: str, raw_path: str, headers: Mapping[str, str], remote: str, scheme: str
) -> dict[str, Any]:
    """The CGI names that a connect handler and the CORS rules need; the request object is not retained."""
    environ = {
        "REQUEST_METHOD": method,
        "QUERY_STRING": raw_path.partition("?")[2],
        "REMOTE_ADDR": remote,
        "wsgi.url_scheme": scheme,
    }
    for name, cgi_name in _CGI_NAMES:
        value = headers.get(name)
        if value is not None:
            environ[cgi_name] = value
    return environ


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


def is_within(address: str, trusted: tuple[Network, ...]) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in trusted)


def client_address(remote: str, forwarded: str | None, trusted: tuple[Network, ...]) -> str:
    """Who is behind our proxies: the last hop that is not one of them. Without proxies nobody is believed."""
    if not trusted or not forwarded or not is_within(remote, trusted):
        return remote
    for hop in reversed([part.strip() for part in forwarded.split(",")]):
        if not is_within(hop, trusted):
            return hop
    return remote
