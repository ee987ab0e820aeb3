"""The README's first room, typed as it stands there."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import NodeProcess, flylive, running_node
from tests.tidy.sources import ROOT
from tests.tools import node, node_modules

README = (ROOT / "README.md").read_text()
DEFAULT_URL = "http://127.0.0.1:8080"


def _block(language: str, word: str) -> str:
    """The fenced block in this language that has this word."""
    blocks = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    (found,) = [block for block in blocks if word in block]
    return str(found)


@pytest.fixture
def server(data_directory: Path) -> Iterator[NodeProcess]:
    with running_node(data_directory) as server:
        yield server


def _backend(server: NodeProcess) -> list[dict[str, object]]:
    """Runs the backend's commands; returns what each answered."""
    done = subprocess.run(
        ["sh", "-ec", _block("sh", "curl").replace(DEFAULT_URL, server.url)],
        check=True,
        capture_output=True,
        text=True,
    )
    decoder, text, answers = json.JSONDecoder(), done.stdout.strip(), []
    while text:
        answer, end = decoder.raw_decode(text)
        answers.append(answer)
        text = text[end:].strip()
    return answers


def test_a_backend_makes_a_room_and_a_token(server: NodeProcess) -> None:
    room, token = _backend(server)
    assert room["success"] is True
    assert token["success"] is True


def test_a_web_client_takes_a_seat(server: NodeProcess) -> None:
    _, token = _backend(server)
    data = token["data"]
    assert isinstance(data, dict)
    script = _block("js", "socket.io-client").replace(DEFAULT_URL, server.url)
    file = node_modules().parent / f"{server.process.pid}.mjs"
    declared = f"const token = {json.dumps(data['token'])};\n"
    file.write_text(script.replace("\n", f"\n{declared}", 1))
    with subprocess.Popen([node(), file], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as web:
        assert web.stdout is not None
        # It stays, as a page does: the event comes by another way than the answer, before or after it.
        deadline = threading.Timer(60, web.kill)
        deadline.start()
        shown = ""
        for line in web.stdout:
            shown += line
            if "user_id: 'ada'" in line:
                break
        deadline.cancel()
        web.kill()
    file.unlink()
    assert "user_id: 'ada'" in shown


@pytest.mark.timeout(300)
def test_a_load_tester_reads_a_verdict(server: NodeProcess) -> None:
    script = _block("sh", "scenario --list").replace(DEFAULT_URL, server.url)
    script = script.replace(".venv/bin/flylive", shlex.join(flylive()))
    done = subprocess.run(
        ["sh", "-ec", f"{script.rstrip()} --users 0.1 --time 0.1 --quiet"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    # A tenth of the users cannot reach the throughput that the scenario asks for.
    assert done.returncode in (0, 99), done.stdout + done.stderr
    assert "held    errors.ratio" in done.stdout
