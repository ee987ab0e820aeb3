"""The routes of the pages. What they need from the rest of the node comes in as a `Pages` value.

A visitor is a person without a token on a development server: the room page may then ask for a name and gets
a token of a fresh user. On any other server `visitors` is None and the way does not exist.
"""

import io
from collections.abc import Awaitable, Callable, Mapping

import msgspec
import segno
from aiohttp import web

from realtime.web.answers import fresh, serve
from realtime.web.assets import Asset, read_assets, read_page
from state.ids import is_id

NAME_MAX = 40
BODY_BYTES_MAX = 4096


class VisitorRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str


class Pages(msgspec.Struct, frozen=True):
    """What the pages show and ask for: documents by path (made once), and how a visitor gets a token."""

    documents: Mapping[str, tuple[bytes, str]]
    front: str
    visitors: Callable[[str, str], Awaitable[str]] | None = None


def web_routes(pages: Pages) -> list[web.RouteDef]:
    shells = {
        "room": read_page("room", visitors="yes" if pages.visitors else "no"),
        "console": read_page("console"),
        "docs": read_page("docs"),
    }
    routes = [
        web.get("/", _moved(pages.front)),
        web.get("/room/{room_id}", _room(shells["room"])),
        web.get("/room/{room_id}/qr.svg", _qr),
        web.post("/room/{room_id}/visitor", _visitor(pages)),
        web.get("/console", _page(shells["console"])),
        web.get("/docs", _page(shells["docs"])),
        web.get("/static/{path:.+}", _static(read_assets())),
    ]
    routes += [
        web.get(path, _document(body, content_type)) for path, (body, content_type) in pages.documents.items()
    ]
    return routes


def _moved(target: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def moved(_request: web.Request) -> web.StreamResponse:
        return web.HTTPFound(target)

    return moved


def _page(shell: Asset) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def page(request: web.Request) -> web.StreamResponse:
        return serve(request, shell)

    return page


def _room(shell: Asset) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def room(request: web.Request) -> web.StreamResponse:
        _checked_room(request)
        return serve(request, shell)

    return room


def _document(body: bytes, content_type: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def document(_request: web.Request) -> web.StreamResponse:
        return fresh(body, content_type)

    return document


def _static(assets: Mapping[str, Asset]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def static(request: web.Request) -> web.StreamResponse:
        asset = assets.get(request.match_info["path"])
        if asset is None:
            raise web.HTTPNotFound(text="There is no such file.")
        return serve(request, asset)

    return static


def _checked_room(request: web.Request) -> str:
    room_id = request.match_info["room_id"]
    if not is_id(room_id):
        raise web.HTTPNotFound(text="A room id is 1 to 64 letters, digits, - or _.")
    return room_id


async def _qr(request: web.Request) -> web.StreamResponse:
    link = f"{request.scheme}://{request.host}/room/{_checked_room(request)}"
    image = io.BytesIO()
    segno.make(link, error="m").save(image, kind="svg", scale=6, border=2, xmldecl=False)
    return fresh(image.getvalue(), "image/svg+xml")


def _visitor(pages: Pages) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def visitor(request: web.Request) -> web.StreamResponse:
        room_id = _checked_room(request)
        if pages.visitors is None or (request.content_length or 0) > BODY_BYTES_MAX:
            raise web.HTTPForbidden(text="This server gives tokens to backends only.")
        try:
            asked = msgspec.json.decode(await request.read(), type=VisitorRequest)
        except msgspec.DecodeError as problem:
            raise web.HTTPBadRequest(text=str(problem)) from problem
        name = " ".join(asked.name.split())[:NAME_MAX]
        if not name:
            raise web.HTTPBadRequest(text="A visitor needs a name.")
        token = await pages.visitors(room_id, name)
        return fresh(msgspec.json.encode({"success": True, "data": {"token": token}}), "application/json")

    return visitor
