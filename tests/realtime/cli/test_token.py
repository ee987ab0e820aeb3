"""`flylive token`: standard output is the token and nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.processes import run_flylive


def test_create_prints_a_token_that_inspect_believes(tmp_path: Path) -> None:
    made = run_flylive(
        "token", "create", "--room", "lobby", "--user", "ada", "--role", "admin", "--ttl-s", "60"
    )
    assert made.returncode == 0
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", made.stdout)
    seen = run_flylive("token", "inspect", made.stdout.strip())
    claims = json.loads(seen.stdout)
    assert (claims["room_id"], claims["user_id"], claims["role"]) == ("lobby", "ada", "admin")
    assert claims["expires_at"] - claims["issued_at"] == 60


def test_inspect_refuses_what_is_not_ours() -> None:
    done = run_flylive("token", "inspect", "eyJhbGciOiJub25lIn0.e30.")
    assert done.returncode == 1
    assert done.stderr.startswith("flylive: TOKEN_INVALID")


@pytest.mark.parametrize(
    "words", [["--room", "a b"], ["--role", "king"], ["--ttl-s", "0"], ["--ttl-s", "86401"]]
)
def test_wrong_use_is_named(words: list[str]) -> None:
    done = run_flylive("token", "create", "--room", "lobby", "--user", "ada", *words)
    assert done.returncode == 2
    assert words[0] in done.stderr
    assert done.stdout == ""
