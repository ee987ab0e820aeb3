"""`flylive doctor`: looks at everything a node will need, and says what to do about what is missing.

Each check is a function that returns findings. A failed finding makes the exit code 1; a warning does not.
"""

from __future__ import annotations

import asyncio
import platform
import resource
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import msgspec

from realtime import config, native
from realtime.cli.options import configuration, settings_parser
from realtime.config import data_directory
from realtime.embedded import binaries
from realtime.embedded.servers import EmbeddedServers
from realtime.failures import EXIT_DONE, EXIT_FAILED, CannotStart
from realtime.listeners import bound_socket
from realtime.requirements import POSTGRES_MINIMUM, is_new_enough
from state.compiled import Unbuilt
from state.settings import Settings

FILES_WANTED = 65_536
DISK_WANTED_BYTES = 1024**3
CLOCK_SKEW_MS = 500
SECRET_LENGTH_WANTED = 24
ANSWER_SECONDS = 5.0
_SCHEMES = {"valkey": "redis", "valkeys": "rediss", "redis+cluster": "redis", "rediss+cluster": "rediss"}

Level = Literal["ok", "warning", "failed"]


class Finding(msgspec.Struct, frozen=True):
    level: Level
    subject: str
    text: str


def doctor(words: Sequence[str]) -> int:
    options = settings_parser("doctor", "Check what a node needs, and say what to do.").parse_args(words)
    settings = configuration(options).settings
    findings = [finding for check in CHECKS for finding in _run(check, settings)]
    for finding in findings:
        print(f"{finding.level:<8} {finding.subject:<12} {finding.text}")
    return EXIT_FAILED if any(finding.level == "failed" for finding in findings) else EXIT_DONE


def _run(check: Callable[[Settings], Iterator[Finding]], settings: Settings) -> Iterator[Finding]:
    try:
        yield from check(settings)
    except (CannotStart, OSError) as error:
        yield Finding("failed", check.__name__.strip("_").replace("_", " "), str(error))


def _python(_settings: Settings) -> Iterator[Finding]:
    version = platform.python_version()
    yield Finding("ok", "python", f"{version} on {platform.system()} {platform.machine()}")


def fan_out(_settings: Settings) -> Iterator[Finding]:
    try:
        native.LIBRARY.build()
    except Unbuilt as error:
        text = f"plain Python, at a fifth more CPU: install a C compiler ({str(error).splitlines()[0]})"
        yield Finding("warning", "fan-out", text)
    else:
        yield Finding("ok", "fan-out", "compiled")


def _file_limit(_settings: Settings) -> Iterator[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < FILES_WANTED:
        text = f"at most {hard} open files, so fewer clients than that: raise it (ulimit -n {FILES_WANTED})"
        yield Finding("warning", "file limit", text)
    else:
        yield Finding("ok", "file limit", f"{hard} (now {soft}, raised at start)")


def _port(settings: Settings) -> Iterator[Finding]:
    node = settings.node
    try:
        bound_socket(node.host, node.port).close()
    except CannotStart as error:
        if EmbeddedServers.running(data_directory(settings)) is not None:
            yield Finding("ok", "port", f"{node.host} port {node.port} is in use, a node runs here")
        else:
            yield Finding("failed", "port", f"{error}: stop what listens there, or give another --port")
    else:
        yield Finding("ok", "port", f"{node.host} port {node.port} is free")
    if not config.is_loopback(node.host) and not node.public_url:
        yield Finding(
            "warning", "public url", "node.public_url is not set: clients get the address listened on"
        )


def _media_ports(settings: Settings) -> Iterator[Finding]:
    first, count = settings.sfu.port, settings.sfu.workers
    if not first or EmbeddedServers.running(data_directory(settings)) is not None:
        return
    for port in range(first, first + count):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((settings.sfu.address or settings.node.host, port))
            except OSError as error:
                yield Finding("failed", "media port", f"UDP {port}: {error.strerror}: set sfu.port")
            else:
                yield Finding("ok", "media port", f"UDP {port} is free")


def _disk(settings: Settings) -> Iterator[Finding]:
    data = data_directory(settings).absolute()
    existing = next(path for path in (data, *data.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < DISK_WANTED_BYTES:
        yield Finding("warning", "disk", f"{free // 2**20} MiB free at {existing}: give it room")
    else:
        yield Finding("ok", "disk", f"{free // 2**30} GiB free at {existing}")


def _keys(settings: Settings) -> Iterator[Finding]:
    auth = settings.auth
    for name, secret in [
        ("service_key", auth.service_key),
        *((key.name, key.secret) for key in auth.service_keys),
    ]:
        if 0 < len(secret) < SECRET_LENGTH_WANTED:
            text = f"{name} has {len(secret)} characters: take {SECRET_LENGTH_WANTED} or more, at random"
            yield Finding("warning", "keys", text)
    if (auth.service_key or auth.service_keys) and auth.token_keys:
        yield Finding("ok", "keys", "configured")
    elif config.is_loopback(settings.node.host):
        yield Finding("warning", "keys", "development keys: never put a proxy before this node")
    else:
        yield Finding("ok", "keys", f"made once, kept in {data_directory(settings) / 'keys.json'}")


def _valkey(settings: Settings) -> Iterator[Finding]:
    if not settings.redis.url:
        yield Finding("ok", "valkey", f"embedded, {binaries.valkey_server()}")
        return
    yield from asyncio.run(asyncio.wait_for(_redis_findings(settings.redis.url), ANSWER_SECONDS))


def plain_url(url: str) -> str:
    """The URL in the words of the client library, which knows neither clusters nor Valkey by scheme."""
    scheme, separator, rest = url.partition("://")
    return f"{_SCHEMES.get(scheme, scheme)}{separator}{rest}"


async def _redis_findings(url: str) -> list[Finding]:
    import redis.asyncio

    client = redis.asyncio.Redis.from_url(plain_url(url), socket_timeout=ANSWER_SECONDS)
    try:
        before = time.time()
        seconds, microseconds = await client.time()
        skew_ms = abs(seconds + microseconds / 1e6 - (before + time.time()) / 2) * 1000
        server = await client.info("server")
        memory = await client.info("memory")
    except redis.RedisError as error:
        return [Finding("failed", "valkey", f"{error}: check redis.url")]
    finally:
        await client.aclose()
    version = str(server.get("valkey_version") or server["redis_version"])
    found = [_version_finding("valkey", version, is_new_enough(version))]
    policy = memory.get("maxmemory_policy")
    if policy != "noeviction":
        text = f"maxmemory-policy is {policy}: rooms may vanish, set noeviction"
        found.append(Finding("failed", "valkey", text))
    return [*found, _clock_finding("valkey", skew_ms)]


def _postgres(settings: Settings) -> Iterator[Finding]:
    if not settings.database.url:
        yield Finding("ok", "postgres", f"embedded, {binaries.postgres_home()}")
        return
    yield from asyncio.run(_postgres_findings(settings.database.url))


async def _postgres_findings(url: str) -> list[Finding]:
    import asyncpg

    try:
        connection = await asyncpg.connect(url, timeout=ANSWER_SECONDS)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, ValueError, TimeoutError) as error:
        return [Finding("failed", "postgres", f"{error or 'no answer'}: check database.url")]
    try:
        before = time.time()
        now = await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")
        skew_ms = abs(now - (before + time.time()) / 2) * 1000
        version = connection.get_server_version()
    finally:
        await connection.close()
    text = f"{version.major}.{version.minor}"
    return [
        _version_finding("postgres", text, version.major >= POSTGRES_MINIMUM),
        _clock_finding("postgres", skew_ms),
    ]


def _version_finding(subject: str, version: str, is_enough: bool) -> Finding:
    if is_enough:
        return Finding("ok", subject, f"version {version}")
    return Finding("failed", subject, f"version {version} is too old, see the README for what is needed")


def _clock_finding(subject: str, skew_ms: float) -> Finding:
    if skew_ms > CLOCK_SKEW_MS:
        return Finding("warning", "clock", f"{skew_ms:.0f} ms away from {subject}: let both follow NTP")
    return Finding("ok", "clock", f"agrees with {subject} ({skew_ms:.0f} ms)")


CHECKS = (_python, fan_out, _file_limit, _port, _media_ports, _disk, _keys, _valkey, _postgres)
