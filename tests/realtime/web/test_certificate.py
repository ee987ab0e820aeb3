"""The certificate of the node's own: made once, kept private, remade in time, and usable by TLS."""

import datetime
import ssl
import stat
from pathlib import Path

from realtime.web.certificate import REMADE_DAYS, VALID_DAYS, tls_context

NOW = datetime.datetime.now(datetime.UTC)
HOSTS = ["192.168.1.20", "localhost"]


def test_it_is_made_once_and_private(tmp_path: Path) -> None:
    tls_context(tmp_path, HOSTS, NOW)
    first = (tmp_path / "https.pem").read_bytes()
    tls_context(tmp_path, HOSTS, NOW)
    assert (tmp_path / "https.pem").read_bytes() == first
    assert stat.S_IMODE((tmp_path / "https.pem").stat().st_mode) == 0o600


def test_it_is_remade_before_it_ends(tmp_path: Path) -> None:
    tls_context(tmp_path, HOSTS, NOW)
    first = (tmp_path / "https.pem").read_bytes()
    late = NOW + datetime.timedelta(days=VALID_DAYS - REMADE_DAYS + 1)
    tls_context(tmp_path, HOSTS, late)
    assert (tmp_path / "https.pem").read_bytes() != first


def test_it_is_remade_for_another_address_or_when_damaged(tmp_path: Path) -> None:
    tls_context(tmp_path, HOSTS, NOW)
    first = (tmp_path / "https.pem").read_bytes()
    tls_context(tmp_path, ["10.0.0.9"], NOW)
    second = (tmp_path / "https.pem").read_bytes()
    assert second != first
    (tmp_path / "https.pem").write_bytes(b"damaged")
    tls_context(tmp_path, ["10.0.0.9"], NOW)
    assert (tmp_path / "https.pem").read_bytes() not in (second, b"damaged")


def test_a_client_that_trusts_it_connects(tmp_path: Path) -> None:
    server_side = tls_context(tmp_path, HOSTS, NOW)
    trust = ssl.create_default_context(cadata=_certificate_of(tmp_path / "https.pem"))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trust.wrap_bio(to_client, to_server, server_hostname="192.168.1.20")
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    done: set[ssl.SSLObject] = set()
    for _turn in range(6):
        for side in (client, server):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                continue
    assert done == {client, server}


def _certificate_of(path: Path) -> str:
    text = path.read_text(encoding="ascii")
    return text[text.index("-----BEGIN CERTIFICATE") :]
