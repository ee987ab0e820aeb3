"""Both engines write the very same bytes, and the same as ever."""

from __future__ import annotations

import json

import pytest

from sfu.engine import Suite
from tests.sfu import golden


@pytest.mark.parametrize("suite", golden.SUITES)
@pytest.mark.parametrize("kind", ["python", "native"])
def test_the_bytes_are_those_of_the_golden_file(kind: str, suite: Suite) -> None:
    known = json.loads(golden.FILE.read_text())[suite.value]
    assert golden.converse(kind, suite) == known
