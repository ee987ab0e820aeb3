"""Logs: one JSON object per line, and no secret in any of them."""

from __future__ import annotations

import io
import json
import logging

import pytest
import structlog

from realtime import logs
from state.settings import Auth, Database, Log, Redis, ServiceKey, Settings, TokenKey

CANARIES = {
    "service key": "canary-service-key-1",
    "scoped key": "canary-scoped-key-22",
    "token key": "canary-token-key-333333333333333333333",
    "redis password": "canary-redis-4444",
    "database password": "canary-postgres-5555",
}
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJlLWNhbmFyeQ"

SETTINGS = Settings(
    auth=Auth(
        service_key=CANARIES["service key"],
        service_keys=(ServiceKey(name="backend", secret=CANARIES["scoped key"]),),
        token_keys=(TokenKey(kid="a", secret=CANARIES["token key"]),),
    ),
    redis=Redis(url=f"redis://user:{CANARIES['redis password']}@cache.example:6379/0"),
    database=Database(url=f"postgresql://user:{CANARIES['database password']}@db.example/app"),
)


@pytest.fixture(params=["json", "text"])
def stream(request: pytest.FixtureRequest) -> io.StringIO:
    output = io.StringIO()
    logs.configure(Log(format=request.param, level="debug"), logs.secrets_of(SETTINGS), output)
    return output


def test_every_secret_of_the_configuration_is_known() -> None:
    assert set(logs.secrets_of(SETTINGS)) == set(CANARIES.values())


def test_no_secret_gets_into_a_line(stream: io.StringIO) -> None:
    log = structlog.get_logger("test")
    for name, secret in CANARIES.items():
        log.info("a field", value=secret)
        log.info(f"in the text {secret}")
        log.info("deep", nested={"list": [secret]})
        logging.getLogger("library").warning("from a library: %s", secret)
        try:
            raise ValueError(f"{name} {secret}")
        except ValueError:
            log.exception("with a traceback")
            logging.getLogger("library").exception("with a traceback")
    text = stream.getvalue()
    assert text.count("with a traceback") == 2 * len(CANARIES)
    assert [name for name, secret in CANARIES.items() if secret in text] == []


def test_no_token_or_password_gets_into_a_line(stream: io.StringIO) -> None:
    log = structlog.get_logger("test")
    log.info("connect", token="canary-one", password="canary-two", authorization="canary-three")
    log.info(f"GET /socket.io/?token={TOKEN}")
    log.info("header", value="Authorization: Bearer canary-four")
    log.info("cannot reach redis://someone:canary-five@host:1/0")
    log.info("frame", body={"auth": {"token": TOKEN}})
    assert "canary" not in stream.getvalue()
    assert "eyJ" not in stream.getvalue()
    assert "host:1/0" in stream.getvalue()


def test_json_lines_have_a_time_a_level_and_the_fields() -> None:
    output = io.StringIO()
    logs.configure(Log(format="json", level="info"), (), output)
    structlog.get_logger("test").info("seat taken", room_id="lobby", seat=3, odd=object)
    structlog.get_logger("test").debug("not written")
    logging.getLogger("library").info("theirs")
    first, second = map(json.loads, output.getvalue().splitlines())
    assert first["event"] == "seat taken"
    assert (first["room_id"], first["seat"], first["level"]) == ("lobby", 3, "info")
    assert first["timestamp"].endswith("Z")
    assert second["event"] == "theirs"


def test_a_line_break_in_a_value_stays_inside_its_line() -> None:
    output = io.StringIO()
    logs.configure(Log(format="json"), (), output)
    structlog.get_logger("test").info('forged\n{"event": "login"}')
    assert len(output.getvalue().splitlines()) == 1
