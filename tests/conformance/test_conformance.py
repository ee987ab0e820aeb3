"""Every case of both protocols against a real server process, with and without the front."""

from collections.abc import Iterator

import pytest

from tests.conformance.case import Case, run_case
from tests.conformance.process import server_process
from tests.conformance.suites import SUITES

ALL = [
    pytest.param(path, case, id=f"{name}: {case.name}")
    for name, (path, cases) in SUITES.items()
    for case in cases
]


@pytest.fixture(scope="module", params=[True, False], ids=["front", "aiohttp"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with server_process(front=request.param) as served:
        yield served


def test_counts() -> None:
    """As many cases as the official suites have."""
    assert [len(cases) for _, cases in SUITES.values()] == [25, 32]


@pytest.mark.parametrize(("path", "case"), ALL)
async def test_case(url: str, path: str, case: Case) -> None:
    await run_case(case, url, path)
