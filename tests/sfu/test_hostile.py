"""Handshakes while strangers shout: 10,000 datagrams per second of every kind, from other addresses."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

from state.media_commands import RtcOffer
from state.ports import Done
from tests.sfu.clients import AiortcPeer
from tests.sfu.node import MediaNode, settings, until

HANDSHAKES = 50
FLOOD_SECONDS = 12
MEMORY_BYTES = 96 << 20
FLOOD = """
import random, socket, sys, time
host, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(50)]
for sock in socks:
    sock.setblocking(False)
stun = b"\\0\\1\\0\\x0c\\x21\\x12\\xa4\\x42" + bytes(12) + b"\\0\\6\\0\\x05ab:cd\\0\\0\\0"
kinds = [b"", stun, b"\\x16\\xfe\\xff" + bytes(200), b"\\x80\\x6f" + bytes(160), b"\\x81\\xc9" + bytes(60)]
kinds += [random.randbytes(n) for n in (1, 20, 100, 1400)]
sent = answered = 0
started = time.monotonic()
while (now := time.monotonic()) < started + seconds:
    while sent < (now - started) * 10_000:
        for _ in range(20):
            try:
                random.choice(socks).sendto(random.choice(kinds), (host, port))
            except OSError:
                pass
            sent += 1
    for sock in socks:
        try:
            answered += len(sock.recv(2048))
        except OSError:
            pass
    time.sleep(0.002)
print(sent, answered)
"""


def memory_of(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found.group(1)) * 1024


@pytest.mark.parametrize("engine", ["auto", "python"])
async def test_handshakes_succeed_under_a_flood(
    redis_url: str, engine: str, capfd: pytest.CaptureFixture[str]
) -> None:
    node = MediaNode(settings(redis_url, workers=1, kind=engine))
    await node.open(children=1)
    try:
        await node.room()
        assert node.supervisor is not None
        pid = node.supervisor.children[0].pid
        (worker,) = (await node.registry.workers(fresh=True)).values()
        before = memory_of(pid)
        words = [sys.executable, "-c", FLOOD, "127.0.0.1", str(worker.port), str(FLOOD_SECONDS)]
        flood = await asyncio.create_subprocess_exec(*words, stdout=subprocess.PIPE)
        await asyncio.sleep(0.5)
        await asyncio.gather(*(join(node, number) for number in range(HANDSHAKES)))
        assert flood.returncode is None, "the flood was over before the handshakes were"
        output, _ = await flood.communicate()
        sent, answered = map(int, output.split())
        assert sent >= 5_000 * FLOOD_SECONDS
        assert answered == 0
        await asyncio.sleep(1.0)
        (told,) = (await node.registry.workers(fresh=True)).values()
        assert told.figures["datagrams_foreign"] + told.figures["stun_unknown_user"] > sent / 4
        assert memory_of(pid) - before < MEMORY_BYTES
    finally:
        await node.close()
    written = capfd.readouterr()
    assert len((written.out + written.err).splitlines()) < 10 * HANDSHAKES


async def join(node: MediaNode, number: int) -> None:
    caller = node.caller(f"user{number}")
    peer = AiortcPeer(slots=1, mic=False)
    node.peers.append(peer)

    async def exchange(sdp: str) -> str:
        answer = await node.ask(caller, RtcOffer(sdp))
        assert isinstance(answer, Done), answer
        return str(answer.data["sdp"])

    await peer.join(exchange)
    await until(lambda: peer.connection.connectionState == "connected", f"user{number}", 20)
