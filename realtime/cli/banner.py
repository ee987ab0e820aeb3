"""What a person sees when a node is ready: where to look, what to try next."""

from __future__ import annotations

import io
from collections.abc import Sequence

from realtime.development import SAMPLE_ROOM
from realtime.keys import DEVELOPMENT_SERVICE_KEY


def banner(url: str, *, key_origin: str, is_development: bool, token: str, secure_url: str = "") -> str:
    """With development keys the key and a token stand here; keys that are worth something never do."""
    lines = [f"FlyLive Realtime is ready at {url}", ""]
    page = f"{url}/room/{SAMPLE_ROOM}#{token}" if is_development else f"{url}/room/ROOM#TOKEN"
    lines += _table(
        ("room page", page),
        ("console", f"{url}/console"),
        ("docs", f"{url}/docs"),
        ("metrics", f"{url}/metrics"),
        ("service key", DEVELOPMENT_SERVICE_KEY if is_development else f"from {key_origin}"),
    )
    if is_development:
        lines += [*_table(("room token", token)), "", "Development keys: accepted from this machine only."]
    if secure_url:
        lines += _for_phones(f"{secure_url}/room/{SAMPLE_ROOM}")
    lines += ["", "Try next:", *(f"  {command}" for command in _commands(url, is_development))]
    return "\n".join(lines)


def _for_phones(link: str) -> list[str]:
    """The link as a picture for a camera. The certificate is the node's own, so a browser asks once."""
    import segno

    picture = io.StringIO()
    segno.make(link, error="l").terminal(out=picture, compact=True, border=1)
    told = "On a phone (its browser will warn once: the certificate is made by this node):"
    return ["", told, f"  {link}", picture.getvalue().rstrip("\n")]


def _table(*rows: tuple[str, str]) -> list[str]:
    return [f"  {name:<12} {text}" for name, text in rows]


def _commands(url: str, is_development: bool) -> Sequence[str]:
    key = DEVELOPMENT_SERVICE_KEY if is_development else "$FLYLIVE_SERVICE_KEY"
    return (
        f"curl -H 'Authorization: Bearer {key}' {url}/v1/rooms",
        f".venv/bin/flylive token create --room {SAMPLE_ROOM} --user grace",
        ".venv/bin/flylive console",
        ".venv/bin/flylive doctor",
    )
