"""Puts REST and money together. Everything they need is handed in; `realtime/app.py` calls this once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import asyncpg
import msgspec
from aiohttp import web
from msgspec import Struct

from api.boards import Boards, BoardServer
from api.catalog import Catalog
from api.gifts import Gifts
from api.ledger.auditor import Auditor
from api.ledger.books import Books
from api.ledger.database import Database
from api.ledger.gifts import GiftWriter, shard_of
from api.ledger.verification import Verification
from api.outbox import Relay
from api.rest.access import Doorkeeper
from api.rest.agencies import AgencyHandlers
from api.rest.calls import Route
from api.rest.front import Front, Limits
from api.rest.money import MoneyHandlers
from api.rest.openapi import document
from api.rest.rates import Rate
from api.rest.rooms import RoomHandlers
from api.rest.table import PREFIX, agency_routes, money_routes, room_routes, token_routes
from api.rest.tokens import TokenHandlers
from api.service import GiftService
from state.audience import Audience
from state.directory import Directory
from state.ids import new_id
from state.inbox import Inbox
from state.ports import CommandService
from state.rooms import Rooms
from state.service_keys import ServiceKeys
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
    # The part that checks the books now and then.
    auditor: Auditor
    catalog: Catalog
    books: Books
    boards: Boards
    gifts: Gifts
    database: Database


class Ports(Struct, frozen=True):
    """The rooms of this node, and what goes with them."""

    rooms: Rooms
    audience: Audience
    directory: Directory
    inbox: Inbox
    server: BoardServer
    media: CommandService | None = None


class Source(Struct, frozen=True):
    """Where time and randomness come from."""

    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    random_bytes: Callable[[int], bytes] = os.urandom

    def new_id(self) -> str:
        """A fresh id of a room, a token, a request."""
        return new_id(self.random_bytes(10), self.now_ms())

    def new_transaction_id(self) -> str:
        """A fresh id of a transaction."""
        return transaction_id(self.random_bytes(10), self.now_ms())


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
    address_of: Callable[[web.Request], str],
    source: Source | None = None,
) -> Api:
    """REST, the money service and the relay of one node. `address_of` sees through our proxies."""
    source = source or Source()
    boards = Boards(ports.server, prefix=prefix)
    ledger = build_ledger(settings, pool, ports, boards, shard_of(node_id), source)
    doorkeeper = Doorkeeper(ServiceKeys(auth), keyring)
    front = Front(
        doorkeeper=doorkeeper,
        database=ledger.database,
        limits=limits_of(settings),
        address_of=address_of,
        now_ms=source.now_ms,
        new_request_id=source.new_id,
    )
    tokens = TokenHandlers(
        rooms=ports.rooms,
        keyring=keyring,
        doorkeeper=doorkeeper,
        lifetime_seconds=auth.token_lifetime_seconds,
        socket_url=url,
        new_token_id=source.new_id,
    )
    routes = all_routes(ports, tokens, ledger, source)
    return Api(
        rest=front.application(routes, PREFIX),
        prefix=PREFIX,
        openapi=msgspec.json.encode(document(routes, version)),
        service=GiftService(
            gifts=ledger.gifts,
            catalog=ledger.catalog,
            books=ledger.books,
            boards=ledger.boards,
            combo_of=ledger.relay.combo,
            now_ms=source.now_ms,
        ),
        relay=ledger.relay,
        auditor=Auditor(
            ledger.database,
            Verification(ledger.database, boards, now_ms=source.now_ms),
            interval_seconds=settings.verify_seconds,
        ),
        catalog=ledger.catalog,
        books=ledger.books,
        boards=boards,
        gifts=ledger.gifts,
        database=ledger.database,
    )


def build_ledger(
    settings: ApiSettings, pool: asyncpg.Pool, ports: Ports, boards: Boards, shard: int, source: Source
) -> Ledger:
    """Money without its two entrances."""
    timeout_seconds = settings.money_timeout_ms / 1000
    database = Database(pool, timeout_seconds=timeout_seconds)
    new_id = source.new_transaction_id
    books = Books(database, shard=shard, now_ms=source.now_ms, new_transaction_id=new_id)
    catalog = Catalog(database, now_ms=source.now_ms)
    relay = Relay(database, rooms=ports.rooms, inbox=ports.inbox, boards=boards, now_ms=source.now_ms)
    writer = GiftWriter(
        database,
        shard=shard,
        recipient_share_bps=settings.recipient_share_bps,
        now_ms=source.now_ms,
    )
    gifts = Gifts(
        catalog=catalog,
        rooms=ports.rooms,
        audience=ports.audience,
        writer=writer,
        books=books,
        new_transaction_id=new_id,
        wake_relay=relay.wake,
        now_ms=source.now_ms,
        timeout_seconds=timeout_seconds,
    )
    return Ledger(database, books, catalog, boards, gifts, relay)


def all_routes(ports: Ports, tokens: TokenHandlers, ledger: Ledger, source: Source) -> list[Route]:
    """The whole table."""
    rooms = RoomHandlers(
        rooms=ports.rooms,
        audience=ports.audience,
        directory=ports.directory,
        new_room_id=source.new_id,
        media=ports.media,
    )
    money = MoneyHandlers(
        gifts=ledger.gifts,
        catalog=ledger.catalog,
        books=ledger.books,
        boards=ledger.boards,
        audience=ports.audience,
    )
    agencies = AgencyHandlers(database=ledger.database)
    return [*room_routes(rooms), *token_routes(tokens), *money_routes(money), *agency_routes(agencies)]


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
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
