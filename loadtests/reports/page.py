"""The HTML page of a run: one file with its data, style and script inside; it opens from disk, offline.

The data stands in a JSON script block whose "<" are escaped, so that no text of a run can end the block.
"""

import base64
import hashlib
from pathlib import Path
from typing import Any

import msgspec

HERE = Path(__file__).parent
TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src '{style_hash}'; script-src '{script_hash}' '{data_hash}'">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main id="report"><noscript>This page draws its charts with a script.</noscript></main>
<script type="application/json" id="data">{data}</script>
<script>{script}</script>
</body>
</html>
"""


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def as_html(report: dict[str, Any]) -> str:
    style, script = (HERE / "page.css").read_text(), (HERE / "page.js").read_text()
    data = msgspec.json.encode(report).decode().replace("<", "\\u003c")
    return TEMPLATE.format(
        title=_escaped(report["title"]),
        style=style,
        script=script,
        data=data,
        style_hash=_hash(style),
        script_hash=_hash(script),
        data_hash=_hash(data),
    )
