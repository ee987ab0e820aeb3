"""Settings: precedence, sources, and refusals that name where a value came from."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from realtime import config
from realtime.failures import BadConfiguration
from state.settings import Settings


def _file(directory: Path, text: str) -> Path:
    path = directory / "flylive.toml"
    path.write_text(text)
    return path


def test_without_anything_the_defaults_hold() -> None:
    loaded = config.load()
    assert loaded.settings == Settings()
    assert loaded.source("node.port") == "default"


def test_flags_win_over_variables_win_over_the_file(tmp_path: Path) -> None:
    file = _file(tmp_path, '[node]\nport = 1\nhost = "10.0.0.1"\ndrain_seconds = 3\n')
    loaded = config.load(
        file, {"FLYLIVE_PORT": "2", "FLYLIVE_NODE_HOST": "10.0.0.2"}, {"--port": ("node.port", "3")}
    )
    assert loaded.settings.node.port == 3
    assert loaded.settings.node.host == "10.0.0.2"
    assert loaded.settings.node.drain_seconds == 3
    assert loaded.source("node.port") == "flag --port"
    assert loaded.source("node.host") == "environment FLYLIVE_NODE_HOST"
    assert loaded.source("node.drain_seconds") == f"file {file}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[node]\nprot = 1\n", ["unknown setting node.prot", "did you mean node.port", "flylive.toml"]),
        ("[nod]\nport = 1\n", ["unknown setting nod.port", "flylive.toml"]),
        ("port = 1\n", ["port has to be a section"]),
        ("[node]\nport = 70000\n", ["node.port", "<= 65535", "flylive.toml"]),
        ('[node]\nport = "1"\n', ["node.port", "Expected `int`", "flylive.toml"]),
        ('[redis]\nurl = "http://x"\n', ["redis.url", "flylive.toml"]),
        ("[node\n", ["not valid TOML", "flylive.toml"]),
        ("[auth]\ntoken_lifetime_seconds = 90000\n", ["auth.token_lifetime_seconds is larger"]),
        (
            '[[auth.token_keys]]\nkid = "a"\nsecret = "short"\n',
            ["auth.token_keys", "length >= 32", "flylive.toml"],
        ),
    ],
)
def test_a_bad_file_is_refused_by_name(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(BadConfiguration) as refusal:
        config.load(_file(tmp_path, text))
    for word in words:
        assert word in str(refusal.value)
    assert refusal.value.exit_code == 2
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"FLYLIVE_SFU_PRT": "1"}, ["unknown variable FLYLIVE_SFU_PRT", "did you mean FLYLIVE_SFU_PORT"]),
        ({"FLYLIVE_PORT": "many"}, ["environment FLYLIVE_PORT", "node.port"]),
        ({"FLYLIVE_AUTH_SERVICE_KEYS": "[{]"}, ["environment FLYLIVE_AUTH_SERVICE_KEYS", "not valid JSON"]),
        ({"FLYLIVE_REDIS_URL": "short"}, ["environment FLYLIVE_REDIS_URL", "redis.url"]),
    ],
)
def test_a_bad_variable_is_refused_by_name(variables: dict[str, str], words: list[str]) -> None:
    with pytest.raises(BadConfiguration) as refusal:
        config.load(environment=variables)
    for word in words:
        assert word in str(refusal.value)
    assert "short" not in str(refusal.value)


def test_lists_in_variables_are_words_or_json() -> None:
    loaded = config.load(environment={"FLYLIVE_GATEWAY_ORIGINS": "https://a.example, https://b.example"})
    assert loaded.settings.gateway.origins == ("https://a.example", "https://b.example")
    keys = '[{"name": "backend", "secret": "0123456789abcdef", "scopes": ["rooms"]}]'
    loaded = config.load(environment={"FLYLIVE_AUTH_SERVICE_KEYS": keys})
    assert loaded.settings.auth.service_keys[0].scopes == ("rooms",)


def test_every_setting_has_a_description_and_a_variable_of_its_own() -> None:
    names = [config.variable_name(name) for name in config.fields()]
    assert len(set(names)) == len(names)
    for name, field in config.fields().items():
        assert getattr(field.type, "__metadata__", None), f"{name} has no bounds or description"


def test_the_default_settings_survive_their_own_file(tmp_path: Path) -> None:
    text = "[node]\nport = 8080\n[log]\nlevel = 'info'\n"
    assert config.load(_file(tmp_path, text)).settings == Settings()
    assert tomllib.loads(text)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_is_this_machine_only(host: str) -> None:
    assert config.is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org"])
def test_everything_else_is_wider(host: str) -> None:
    assert not config.is_loopback(host)
