"""A small conversation with fixed keys, whose every outgoing byte is known: `python -m tests.sfu.golden`
writes `golden_packets.json` anew, from the Python engine.

Nothing in it depends on a clock: a source keeps its own time, and RTCP is left out.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from sfu import rtp
from sfu.engine import SILENCE_FRAMES, Suite
from tests.sfu.bench import MID_ID, OPUS, Bench, Client

FILE = Path(__file__).with_name("golden_packets.json")
SUITES = (Suite.AEAD_AES_128_GCM, Suite.AEAD_AES_256_GCM, Suite.AES_CM_128_SHA1_80, Suite.PLAIN)
RED = 63


def converse(kind: str, suite: Suite) -> dict[str, list[str]]:
    """What each listener got, as hex, in order."""
    bench = Bench(kind)
    speaker = bench.client(suite)
    producer = bench.producer(speaker, 7, red_payload_type=RED)
    listeners: dict[str, tuple[Client, dict[str, Any]]] = {
        "level": (bench.client(suite), {}),
        "level and mid": (bench.client(suite), {"mid_id": MID_ID, "mid": b"3"}),
        "long mid": (bench.client(suite), {"level_id": 3, "mid_id": MID_ID, "mid": b"seventeen letters"}),
        "nothing but red": (bench.client(suite), {"level_id": 0, "red_payload_type": 102}),
        "roll-over": (bench.client(suite), {"first_sequence": 0x7FFF}),
    }
    for client, fields in listeners.values():
        bench.consumer(client, producer, 9001, **fields)
    said = _speak(bench, speaker, producer)
    bench.until(lambda: bench.engine.stats().packets_forwarded >= said * len(listeners))
    bench.settle()
    found = {name: _raw(client, said) for name, (client, _) in listeners.items()}
    bench.close()
    return found


def _speak(bench: Bench, speaker: Client, producer: int) -> int:
    """Says something of every sort; how many packets each listener gets of it."""
    speaker.say(7, b"first", level=0x80 | 12)
    speaker.say(7, b"no level", level=None)
    speaker.say(7, bytes(range(160)), sequence=1005, timestamp=60_000)
    speaker.say(7, b"late", sequence=1004, timestamp=59_040)
    red = rtp.red_payload([(0, 960, b"before"), (0, 0, b"now")], OPUS)
    speaker.say(7, red, sequence=1006, timestamp=60_960, payload_type=RED)
    bench.settle()
    bench.engine.set_speaking_right(producer, False)
    bench.engine.set_speaking_right(producer, True)
    for step in range(0x8000, 0x18000, 0x4000):
        speaker.say(7, b"far", sequence=1007 + step, timestamp=70_000 + step)
        bench.settle()
    return 5 + SILENCE_FRAMES + 4


def _raw(client: Client, count: int) -> list[str]:
    packets: list[str] = []
    while len(packets) < count:
        data = client.sock.recv(2048)
        if not rtp.is_rtcp(data):
            packets.append(data.hex())
    return packets


def record() -> dict[str, dict[str, list[str]]]:
    return {suite.value: converse("python", suite) for suite in SUITES}


if __name__ == "__main__":
    FILE.write_text(json.dumps(record(), indent=1) + "\n")
    sys.stdout.write(f"{FILE}\n")
