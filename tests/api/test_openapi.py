"""The OpenAPI document against a real node: schemathesis makes the requests, good and bad, and holds every
answer to what the document says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import running_node

KEY = "service-key-of-this-test"
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)
# A body over the bound is refused as too large, which the check does not think of by itself.
CONFIGURATION = """
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 410, 413, 415, 422, 428, 429]
"""
EXAMPLES = os.environ.get("FLYLIVE_TEST_OPENAPI_EXAMPLES", "4")


@pytest.mark.timeout(400)
def test_no_answer_is_undocumented_or_a_server_error(data_directory: Path) -> None:
    with running_node(data_directory, FLYLIVE_SERVICE_KEY=KEY, FLYLIVE_SFU_WORKERS="0") as node:
        configuration = data_directory.parent / "schemathesis.toml"
        configuration.write_text(CONFIGURATION)
        words = [str(Path(sys.executable).parent / "schemathesis"), "--config-file", str(configuration)]
        words += ["run", f"{node.url}/openapi.json", "--seed", "1", "--continue-on-failure"]
        words += ["--header", f"Authorization: Bearer {KEY}", "--checks", ",".join(CHECKS)]
        words += ["--phases", "examples,coverage,fuzzing,stateful", "--max-examples", EXAMPLES]
        done = subprocess.run(
            words, cwd=data_directory.parent, check=False, capture_output=True, text=True, timeout=380
        )
    assert done.returncode == 0, done.stdout[-8_000:] + done.stderr[-2_000:]
