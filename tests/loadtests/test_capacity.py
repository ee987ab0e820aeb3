"""The capacity model is a sum of products: hand-made units give the sums one does in the head."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from loadtests.benchmarks.figures import Report, figure
from loadtests.benchmarks.machine import describe
from loadtests.benchmarks.runner import Outcome, as_json
from loadtests.benchmarks.units import METHODS, PARTS, _figures
from loadtests.capacity import Platform, load_of, main, plan
from loadtests.exits import DONE, MISUSED

FIGURES = {
    f"{unit}_{part}_us": {"node": 100.0, "valkey": 10.0, "postgres": 1.0}[part]
    for unit in ("idle", "join", "token", "command", "delivery", "gift")
    for part in ("node", "valkey", "postgres")
} | {
    "memory_node_bytes": 10_000.0,
    "base_node_bytes": 100 * 2**20,
    "native_600": 300_000.0,
}
PLATFORM = Platform(
    users=6000,
    room_size=50,
    chat_rate=1.0,
    gift_rate=0.0,
    seat_rate=0.0,
    stay_minutes=10.0,
    speakers=2.0,
    audio_share=1.0,
    utilisation=0.5,
    node_memory_mib=512,
    node_connections=10_000,
)


def test_every_product_is_rate_times_unit() -> None:
    found = plan(PLATFORM, FIGURES)
    rates = {line.what: line.per_second for line in load_of(PLATFORM)}
    assert rates["chat and seat commands"] == pytest.approx(100.0)
    assert rates["joins"] == pytest.approx(10.0)
    assert rates["events delivered"] == pytest.approx((100 + 20) * 50)
    for what, rate in rates.items():
        assert found.shares[what]["node"] == pytest.approx(rate * 100 / 1e6)
    assert found.cores["valkey"] == pytest.approx(sum(rates.values()) * 10 / 1e6)


def test_nodes_follow_what_runs_out_first() -> None:
    busy = plan(PLATFORM, FIGURES)
    assert busy.nodes == 3
    full = plan(PLATFORM, FIGURES | {"memory_node_bytes": 500_000.0})
    assert full.nodes == 7
    assert full.node_memory_bytes <= 512 * 2**20
    assert plan(msgspec.structs.replace(PLATFORM, node_connections=500), FIGURES).nodes == 12


def test_audio_is_packets_over_the_measured_rate() -> None:
    found = plan(PLATFORM, FIGURES)
    assert found.packets_per_second == pytest.approx(120 * 2 * 50 * 50)
    assert found.media_cores == pytest.approx(600_000 / 300_000 / 0.5)


def units_file(directory: Path, figures: dict[str, float]) -> Path:
    report = Report(tuple(figure(name, "", [value] * 3) for name, value in figures.items()))
    path = directory / "units.json"
    path.write_bytes(as_json([Outcome("units", 1.0, report, ())], describe()))
    return path


def test_every_unit_is_shown_with_how_when_and_where_it_was_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = units_file(tmp_path, FIGURES)
    assert main(["--users", "100000", "--units", str(path)]) == DONE
    output = capsys.readouterr().out
    assert "100,000 users in 2,000 rooms of 50" in output
    for method in METHODS.values():
        assert method in output
    assert f"from {path}: {datetime.now(UTC).year}" in output
    assert f"medians of up to 3 runs, {describe().processor}" in output


def test_a_missing_unit_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = units_file(tmp_path, {"idle_node_us": 1.0})
    assert main(["--units", str(path)]) == MISUSED
    assert "no figure idle_valkey_us" in capsys.readouterr().err


def test_every_unit_that_is_measured_says_how() -> None:
    costs = dict.fromkeys(PARTS, 1.0)
    found = _figures([dict.fromkeys(("token", "join", "command", "delivery", "gift"), costs)], [costs])
    units = {one.name.split("_")[0] for one in found}
    assert units | {"memory", "base"} == METHODS.keys()
