"""Puts REST and money together. Everything they need is handed in; `realtime/app.py` calls this once."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from typing import Any

import asyncpg
import msgspec
from aiohttp import web
from msgspec import Struct

from api.boards import Boards, BoardServer
from api.catalog import Catalog
from api.gifts import Gifts
from api.ledger.books import Books
from api.ledger.database import Database
from api.ledger.gifts import GiftWriter, shard_of
from api.outbox import Relay
from api.rest.access import Doorkeeper, service_keys
from api.rest.calls import Route
from api.rest.front import Front, Limits
from api.rest.money import MoneyHandlers
from api.rest.openapi import document
from api.rest.rates import Rate
from api.rest.rooms import RoomHandlers
from api.rest.table import PREFIX, money_routes, room_routes, token_routes
from api.rest.tokens import TokenHandlers
from api.service import GiftService
from state.audience import Audience
from state.directory import Directory
from state.ids import new_id
from state.inbox import Inbox
from state.rooms import Rooms
from state.settings import Api as ApiSettings
from state.settings import Auth
from state.tokens import KeyRing


class Api(Struct, frozen=True):
    """What the composition root gets."""

    # To be mounted under `prefix`.
    rest: web.Application
    prefix: str
    # The OpenAPI document, encoded.
    openapi: bytes
    # Answers gift:*, wallet:get and rank:get.
    service: GiftService
    # The part that announces committed gifts.
    relay: Relay
    catalog: Catalog
    books: Books


class Ports(Struct, frozen=True):
    """The rooms of this node, and what goes with them."""

    rooms: Rooms
    audience: Audience
    directory: Directory
    inbox: Inbox
    server: BoardServer


class Ledger(Struct, frozen=True):
    """The parts that deal with money, whatever asks them."""

    database: Database
    books: Books
    catalog: Catalog
    boards: Boards
    gifts: Gifts
    relay: Relay


def build_api(
    *,
    settings: ApiSettings,
    auth: Auth,
    keyring: KeyRing,
    pool: asyncpg.Pool,
    ports: Ports,
    node_id: str,
    prefix: str,
    url: str,
    version: str,
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    random_bytes: Callable[[int], bytes] = os.urandom,
) -> Api:
    """REST, the money service and the relay of one node."""
    ledger = build_ledger(
        settings=settings,
        pool=pool,
        ports=ports,
        node_id=node_id,
        prefix=prefix,
        now_ms=now_ms,
        random_bytes=random_bytes,
    )

    def fresh_id() -> str:
        return new_id(random_bytes(10), now_ms())

    doorkeeper = Doorkeeper(service_keys(auth), keyring)
    tokens = TokenHandlers(
        rooms=ports.rooms,
        keyring=keyring,
        doorkeeper=doorkeeper,
        lifetime_seconds=auth.token_lifetime_seconds,
        socket_url=url,
        new_token_id=fresh_id,
    )
    front = Front(
        doorkeeper=doorkeeper,
        database=ledger.database,
        limits=limits_of(settings),
        now_ms=now_ms,
        new_request_id=fresh_id,
    )
    rooms = RoomHandlers(
        rooms=ports.rooms, audience=ports.audience, directory=ports.directory, new_room_id=fresh_id
    )
    money = MoneyHandlers(
        gifts=ledger.gifts,
        catalog=ledger.catalog,
        books=ledger.books,
        boards=ledger.boards,
        audience=ports.audience,
    )
    routes = all_routes(rooms, tokens, money)
    return Api(
        rest=front.application(routes, PREFIX),
        prefix=PREFIX,
        openapi=msgspec.json.encode(document(routes, version)),
        service=GiftService(
            gifts=ledger.gifts,
            catalog=ledger.catalog,
            books=ledger.books,
            boards=ledger.boards,
            now_ms=now_ms,
        ),
        relay=ledger.relay,
        catalog=ledger.catalog,
        books=ledger.books,
    )


def build_ledger(
    *,
    settings: ApiSettings,
    pool: asyncpg.Pool,
    ports: Ports,
    node_id: str,
    prefix: str,
    now_ms: Callable[[], int],
    random_bytes: Callable[[int], bytes],
) -> Ledger:
    """Money without its two entrances."""
    timeout_seconds = settings.money_timeout_ms / 1000
    database = Database(pool, timeout_seconds=timeout_seconds)
    shard = shard_of(node_id)

    def new_transaction_id() -> str:
        return transaction_id(random_bytes(10), now_ms())

    books = Books(database, shard=shard, now_ms=now_ms, new_transaction_id=new_transaction_id)
    catalog = Catalog(database, now_ms=now_ms)
    boards = Boards(ports.server, prefix=prefix)
    relay = Relay(
        database, rooms=ports.rooms, inbox=ports.inbox, boards=boards, now_ms=now_ms, on_told=_ignore
    )
    writer = GiftWriter(
        database,
        shard=shard,
        recipient_share_bps=settings.recipient_share_bps,
        now_ms=now_ms,
        timeout_seconds=timeout_seconds,
    )
    gifts = Gifts(
        catalog=catalog,
        rooms=ports.rooms,
        audience=ports.audience,
        writer=writer,
        books=books,
        new_transaction_id=new_transaction_id,
        wake_relay=relay.wake,
        now_ms=now_ms,
    )
    return Ledger(database, books, catalog, boards, gifts, relay)


def all_routes(rooms: RoomHandlers, tokens: TokenHandlers, money: MoneyHandlers) -> list[Route]:
    """The whole table."""
    return [*room_routes(rooms), *token_routes(tokens), *money_routes(money)]


def limits_of(settings: ApiSettings) -> Limits:
    """The configured rates; a burst is two seconds' worth."""

    def rate(per_second: float) -> Rate:
        return Rate(per_second, max(1, round(2 * per_second)))

    return Limits(
        service=rate(settings.service_requests_per_second),
        user=rate(settings.user_requests_per_second),
        address=rate(settings.address_requests_per_second),
    )


def transaction_id(random_bytes: bytes, now_ms: int) -> str:
    """A UUID of version 7: sorts by time, which keeps indexes compact and pages in order."""
    number = (now_ms & ((1 << 48) - 1)) << 80 | int.from_bytes(random_bytes[:10])
    number = number & ~(0xF << 76) | 0x7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=number))


def _ignore(*_ignored: Any) -> None:
    return None
