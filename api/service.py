"""Money on a socket: `gift:*`, `wallet:get` and `rank:get` as the gateway's command service."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import to_builtins

from api.boards import Boards
from api.catalog import Catalog
from api.gifts import Gifts, Order
from api.ledger.books import Books
from state.commands import Command, GiftCatalog, GiftSend, RankGet, WalletGet
from state.identity import Profile
from state.ports import Answer, Caller, Done
from state.rejections import Code, Rejection


class GiftService:
    """Answers the money commands of connections."""

    def __init__(
        self,
        *,
        gifts: Gifts,
        catalog: Catalog,
        books: Books,
        boards: Boards,
        combo_of: Callable[[str], Awaitable[dict[str, Any] | None]],
        now_ms: Callable[[], int],
    ) -> None:
        self._gifts = gifts
        self._catalog = catalog
        self._books = books
        self._boards = boards
        self._combo_of = combo_of
        self._now_ms = now_ms

    async def perform(self, caller: Caller, command: Command) -> Answer:
        """Carry out one command; raises Unavailable when the ledger or the boards do not answer."""
        match command:
            case GiftSend():
                return await self._send(caller, command)
            case GiftCatalog():
                listing = await self._catalog.listing()
                gifts = [] if command.etag == listing.etag else to_builtins(listing.gifts)
                return Done({"gifts": gifts, "etag": listing.etag})
            case WalletGet():
                wallet = await self._books.wallet(caller.user.user_id)
                return Done({"coins": wallet.coins, "diamonds": wallet.diamonds})
            case RankGet():
                entries = await self._boards.top(command.board, command.period, self._now_ms(), command.limit)
                return Done({"entries": to_builtins(entries)})
            case _:
                return Rejection(Code.PAYLOAD_INVALID, "not a command about money")

    async def connection_closed(self, caller: Caller) -> None:
        """Nothing is held for a connection."""

    async def _send(self, caller: Caller, command: GiftSend) -> Answer:
        user = caller.user
        order = Order(
            sender=Profile(user.user_id, user.name, user.avatar, user.role, user.level, user.vip),
            room_id=caller.room_id,
            gift_id=command.gift_id,
            quantity=command.quantity,
            key=command.idempotency_key,
            recipients=None if command.recipients is None else tuple(command.recipients),
            scope=command.scope,
        )
        gift = await self._catalog.gift(command.gift_id)
        outcome = await self._gifts.send(order)
        if isinstance(outcome, Rejection):
            return outcome
        answer = to_builtins(outcome)
        if gift is not None and gift.combo and not outcome.replayed:
            # Paid is paid, whether the room counts it in time or not.
            combo = await self._combo_of(outcome.transaction_id)
            answer |= {} if combo is None else {"combo": combo}
        return Done(answer)
