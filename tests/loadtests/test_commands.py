"""The command lines: wrong use is 2 and says what, a server that is not there is 1."""

from pathlib import Path

import pytest

from loadtests import cli
from loadtests.exits import DONE, FAILED, MISUSED
from loadtests.traffic.command import threshold
from loadtests.traffic.scenario import Misdescribed, Threshold

SAMPLE = str(Path(__file__).parents[2] / "loadtests" / "traces" / "sample.jsonl.gz")
NOWHERE = ("--url", "http://127.0.0.1:9", "--service-key", "some-service-key", "--quiet")


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLYLIVE_SERVICE_KEY", raising=False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["chat"], "service-key"),
        (["no-such-scenario", "--service-key", "k"], "shipped: chat"),
        (["chat", "--service-key", "k", "--threshold", "x.p95_ms=3"], "MEASURE<=N"),
        (["evening", "--service-key", "k", "--workers", "2"], "audio users"),
    ],
)
def test_a_scenario_that_cannot_be_played_says_why(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.scenario(words) == MISUSED
    assert said in capsys.readouterr().err


def test_scenarios_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.scenario(["--list"]) == DONE
    assert "1,000 users joining at once" in capsys.readouterr().out


def test_a_threshold_is_written_as_one_reads_it() -> None:
    assert threshold("chat:send.p95_ms<=200") == ("chat:send.p95_ms", Threshold(at_most=200.0))
    assert threshold("events.count >= 3") == ("events.count", Threshold(at_least=3.0))
    with pytest.raises(Misdescribed):
        threshold("chat:send.p95_ms")


def test_a_dry_run_touches_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.replay([SAMPLE, "--dry-run", "--clone", "125", "--speed", "max"]) == DONE
    output = capsys.readouterr().out
    assert "intact" in output
    assert "5000 clients" in output
    assert "as fast as it goes" in output


@pytest.mark.parametrize("words", [["/nonexistent.jsonl"], [__file__]])
def test_a_file_that_is_no_trace_is_wrong_use(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.replay(words) == MISUSED
    assert words[0] in capsys.readouterr().err


def test_a_speed_is_a_number_above_0_or_max() -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.replay([SAMPLE, "--speed", "-1x"])


def test_a_server_that_is_not_there_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.scenario(["chat", *NOWHERE]) == FAILED
    assert cli.replay([SAMPLE, *NOWHERE, "--reports", str(tmp_path)]) == FAILED
    assert (tmp_path / "replay-sample.html").exists()
    assert cli.record([str(tmp_path / "trace.jsonl"), *NOWHERE[:-1]]) == FAILED
    assert "could not prepare" in capsys.readouterr().out
