"""Each library that may turn up does the ciphers, and one that lacks them is refused."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sfu.native import build, cryptography

PROBE = """
import sys
from sfu.native import cryptography
cryptography.candidates = lambda: iter([sys.argv[1]])
from sfu.engine import Suite
from tests.sfu.bench import Bench
for suite in Suite:
    bench = Bench("native")
    speaker, listener = bench.client(suite), bench.client(suite)
    bench.consumer(listener, bench.producer(speaker, 7))
    speaker.say(7, b"understood")
    assert bench.heard(listener, 1)[0].payload == b"understood"
    bench.close()
"""


@pytest.mark.parametrize("word", ["libcrypto", "pylibsrtp"])
def test_packets_are_understood_with(word: str) -> None:
    """In a process of its own, because the first library that was loaded stays."""
    path = next(path for path in cryptography.candidates() if path is not None and word in path)
    done = subprocess.run(
        [sys.executable, "-c", PROBE, path], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_library_without_ciphers_is_refused() -> None:
    with pytest.raises(OSError, match="EVP_CIPHER_CTX_new"):
        build.load().load_library("libm.so.6")
    with pytest.raises(OSError, match="nowhere"):
        build.load().load_library("/nowhere/libcrypto.so")


def test_nothing_to_call_means_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cryptography, "candidates", lambda: iter(["libm.so.6"]))
    assert cryptography.load_cryptography(build.load()) is None
