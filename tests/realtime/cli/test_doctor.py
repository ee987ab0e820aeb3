"""What the doctor asks, in the words of whom it asks."""

import pytest

from realtime import native
from realtime.cli.doctor import fan_out, plain_url
from state.compiled import Unbuilt
from state.settings import Settings


def test_schemes_of_ours_become_those_of_the_library() -> None:
    assert plain_url("redis+cluster://host:1") == "redis://host:1"
    assert plain_url("valkeys://host:1") == "rediss://host:1"
    assert plain_url("unix:///run/x.sock") == "unix:///run/x.sock"


def test_what_is_compiled_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    native.LIBRARY.build()  # fails with the reason where it cannot be had
    assert [finding.level for finding in fan_out(Settings())] == ["ok"]

    def refuse() -> None:
        raise Unbuilt("the C compiler says: no\nand more")

    monkeypatch.setattr(native.LIBRARY, "build", refuse)
    (finding,) = fan_out(Settings())
    assert finding.level == "warning"
    assert finding.text.endswith("(the C compiler says: no)")
