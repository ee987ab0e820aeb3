"""Each library that may turn up does the ciphers, and one that lacks them is refused."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sfu.native import build, cryptography

PROBE = """
import sys, pytest
from sfu.native import cryptography
cryptography.candidates = lambda: iter([sys.argv[1]])
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", sys.argv[2]]))
"""
TEST = "tests/sfu/native/test_engine.py::TestNativeEngine::test_payloads_arrive_bit_exact_and_in_order"


@pytest.mark.parametrize("word", ["libcrypto", "pylibsrtp"])
def test_packets_are_understood_with(word: str) -> None:
    """In a process of its own, because the first library that was loaded stays."""
    path = next(path for path in cryptography.candidates() if path is not None and word in path)
    done = subprocess.run(
        [sys.executable, "-c", PROBE, path, TEST], capture_output=True, text=True, timeout=60, check=False
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
