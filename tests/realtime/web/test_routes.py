"""The pages as a browser gets them: policy, caching, compression, and only what was meant to be served."""

import gzip
import re
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer

from realtime.web.assets import PAGES, STATIC, read_assets
from realtime.web.routes import Pages, web_routes

Client = TestClient[web.Request, web.Application]
VENDOR_COMPRESSED_MAXIMUM = 150_000
MARKUP_MAKERS = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|srcdoc|\beval\(|new Function|setTimeout\(\""
)
FOREIGN = re.compile(r"""(?:src|href)\s*=\s*["'](?:https?:)?//""")


async def _visitor(room_id: str, name: str) -> str:
    return f"token-of-{name}-in-{room_id}"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    app = web.Application()
    documents = {"/asyncapi.json": (b"{}", "application/json")}
    app.add_routes(web_routes(Pages(documents, front="/docs", visitors=_visitor)))
    async with TestClient(TestServer(app)) as opened:
        yield opened


@pytest.fixture
async def closed_client() -> AsyncIterator[Client]:
    app = web.Application()
    app.add_routes(web_routes(Pages({}, front="/docs")))
    async with TestClient(TestServer(app)) as opened:
        yield opened


@pytest.mark.parametrize("path", ["/room/lounge", "/console", "/docs", "/static/room/main.js"])
async def test_everything_carries_the_strict_policy(client: Client, path: str) -> None:
    answer = await client.get(path)
    assert answer.status == 200
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_an_unchanged_file_costs_one_304(client: Client) -> None:
    first = await client.get("/static/vendor/ui.js")
    again = await client.get("/static/vendor/ui.js", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status == 304
    assert await again.read() == b""


async def test_a_browser_gets_files_compressed(client: Client) -> None:
    url = client.make_url("/static/vendor/sound.js")
    async with ClientSession(auto_decompress=False) as plain:
        answer = await plain.get(url, headers={"Accept-Encoding": "gzip"})
        assert answer.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(await answer.read()) == (STATIC / "vendor/sound.js").read_bytes()
        answer = await plain.get(url, headers={"Accept-Encoding": "identity"})
        assert await answer.read() == (STATIC / "vendor/sound.js").read_bytes()


@pytest.mark.parametrize(
    "path", ["../routes.py", "%2e%2e/routes.py", "..%2froutes.py", "vendor", "nothing.js"]
)
async def test_no_path_leaves_the_folder(client: Client, path: str) -> None:
    assert (await client.get(f"/static/{path}")).status == 404


@pytest.mark.parametrize("room_id", ["a" * 65, "a%20b", "a%3Cscript%3E"])
async def test_a_strange_room_id_has_no_page(client: Client, room_id: str) -> None:
    assert (await client.get(f"/room/{room_id}")).status == 404


async def test_the_join_link_comes_as_a_picture(client: Client) -> None:
    answer = await client.get("/room/lounge/qr.svg")
    assert answer.content_type == "image/svg+xml"
    assert b"<svg" in await answer.read()


async def test_a_visitor_of_a_development_server_gets_a_token(client: Client) -> None:
    answer = await client.post("/room/lounge/visitor", json={"name": "  Ada \n Lovelace "})
    assert (await answer.json())["data"]["token"] == "token-of-Ada Lovelace-in-lounge"


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"name": 1}', b'{"name": " "}', b'{"name": "a", "role": "owner"}']
)
async def test_a_malformed_visitor_is_refused(client: Client, body: bytes) -> None:
    assert (await client.post("/room/lounge/visitor", data=body)).status == 400


async def test_a_large_visitor_is_refused(client: Client) -> None:
    assert (await client.post("/room/lounge/visitor", json={"name": "a" * 10_000})).status == 403


async def test_elsewhere_there_are_no_visitors(closed_client: Client) -> None:
    assert (await closed_client.post("/room/lounge/visitor", json={"name": "Ada"})).status == 403
    assert 'data-visitors="no"' in await (await closed_client.get("/room/lounge")).text()


def test_no_page_has_inline_code_or_a_foreign_address() -> None:
    for page in PAGES.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not FOREIGN.search(text), page
        assert "style=" not in text, page
        assert not re.search(r"\son\w+=", text), page
        assert all(body == "" for body in re.findall(r"<script[^>]*>(.*?)</script>", text, re.DOTALL)), page


def test_no_code_of_ours_turns_text_into_markup() -> None:
    """What the library draws is text; only these would make it more."""
    for script in STATIC.rglob("*.js"):
        if "vendor" not in script.parts:
            found = MARKUP_MAKERS.search(script.read_text(encoding="utf-8"))
            assert found is None, (script, found)


def test_the_bundles_stay_small() -> None:
    assets = read_assets()
    sizes = [
        len(asset.compressed or asset.body) for path, asset in assets.items() if path.startswith("vendor/")
    ]
    licences = assets["vendor/LICENCES.txt"]
    assert sum(sizes) - len(licences.compressed or b"") < VENDOR_COMPRESSED_MAXIMUM
    for name in ("socket.io-client", "mediasoup-client", "preact", "htm", "uplot"):
        assert f"\n{name} ".encode() in b"\n" + licences.body, name
