"""`flylive config`: valid or not, what is in force and why, what can be set."""

from __future__ import annotations

from pathlib import Path

from realtime import config
from tests.processes import run_flylive


def test_check_says_valid_or_what_is_not(tmp_path: Path) -> None:
    file = tmp_path / "flylive.toml"
    file.write_text("[node]\nport = 8081\n")
    assert run_flylive("config", "check", "--config", file).returncode == 0
    file.write_text("[node]\nprot = 8081\n")
    done = run_flylive("config", "check", "--config", file)
    assert done.returncode == 2
    assert done.stderr == f"flylive: file {file}: unknown setting node.prot (did you mean node.port?)\n"


def test_print_shows_sources_and_masks_secrets(tmp_path: Path) -> None:
    file = tmp_path / "flylive.toml"
    file.write_text(
        '[redis]\nurl = "redis://user:canary-password@host/0"\n'
        '[[auth.token_keys]]\nkid = "a"\nsecret = "canary-token-key-3333333333333333333"\n'
        '[[auth.service_keys]]\nname = "b"\nsecret = "canary-service-key"\n'
    )
    done = run_flylive(
        "config", "print", "--config", file, "--port", "9999", FLYLIVE_SERVICE_KEY="canary-service-key-2"
    )
    lines = done.stdout.splitlines()
    assert "node.port = 9999  # flag --port" in lines
    assert 'node.host = "127.0.0.1"  # default' in lines
    assert "auth.service_key = ***  # environment FLYLIVE_SERVICE_KEY" in lines
    assert "canary" not in done.stdout
    assert len(lines) == len(config.fields())


def test_doc_names_every_setting() -> None:
    document = run_flylive("config", "doc").stdout
    for name in config.fields():
        assert f"`{name}`" in document
        assert f"`{config.variable_name(name)}`" in document
