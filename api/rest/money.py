"""Gifts, wallets, credits, transactions and boards."""

from __future__ import annotations

import uuid
from typing import cast

from api.boards import Boards
from api.catalog import Catalog
from api.gifts import Gifts, Order
from api.ledger.books import Books
from api.ledger.gifts import Outcome
from api.rest.calls import Call
from api.rest.replies import Missing, Reply
from api.rest.shapes import BoardShown, Credited, GiftList, GiftPaid, Reversed
from state.audience import Audience
from state.fields import Board
from state.identity import Profile
from state.rejections import Code, Rejection
from state.tokens import Claims


class MoneyHandlers:
    """The money routes' handlers."""

    def __init__(
        self, *, gifts: Gifts, catalog: Catalog, books: Books, boards: Boards, audience: Audience
    ) -> None:
        self._gifts = gifts
        self._catalog = catalog
        self._books = books
        self._boards = boards
        self._audience = audience

    async def catalog(self, call: Call) -> Reply | Rejection:
        """GET /v1/gifts"""
        listing = await self._catalog.listing()
        tag = f'"{listing.etag}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if call.if_none_match is not None and tag in call.if_none_match:
            return Reply(status=304, headers=headers)
        return Reply(GiftList(listing.gifts, listing.etag), headers=headers)

    async def put_gift(self, call: Call) -> Reply | Rejection:
        """PUT /v1/gifts/{gift_id}"""
        gift, created = await self._catalog.put(call.path["gift_id"], call.body)
        return Reply(gift, 201 if created else 200)

    async def send(self, call: Call) -> Reply | Rejection:
        """POST /v1/rooms/{room_id}/gifts"""
        room_id = call.path["room_id"]
        sender = await self._sender(call, room_id)
        if isinstance(sender, Rejection):
            return sender
        order = Order(
            sender=sender,
            room_id=room_id,
            gift_id=call.body.gift_id,
            quantity=call.body.quantity,
            key=call.key,
            recipients=None if call.body.recipients is None else tuple(call.body.recipients),
            scope=call.body.scope,
        )
        return _paid(await self._gifts.send(order))

    async def _sender(self, call: Call, room_id: str) -> Profile | Rejection:
        """A user pays for itself, whatever the body says; a backend says for whom."""
        if call.claims is not None:
            if call.claims.room_id != room_id:
                return Rejection(Code.FORBIDDEN, "the token is for another room")
            if call.body.sender_id not in (None, call.claims.user_id):
                return Rejection(Code.FORBIDDEN, "the sender is the token's user")
            return profile_of_claims(call.claims)
        if call.body.sender_id is None:
            return Rejection(Code.PAYLOAD_INVALID, "who sends is missing", details={"fields": ["sender_id"]})
        member = await self._audience.member(room_id, call.body.sender_id)
        return member or Profile(call.body.sender_id)

    async def wallet(self, call: Call) -> Reply | Rejection:
        """GET /v1/users/{user_id}/wallet"""
        return _foreign(call) or Reply(await self._books.wallet(call.path["user_id"]))

    async def transactions(self, call: Call) -> Reply | Rejection:
        """GET /v1/users/{user_id}/transactions"""
        refusal = _foreign(call)
        if refusal is not None:
            return refusal
        cursor = call.query.cursor
        if cursor is not None and not is_transaction_id(cursor):
            return Rejection(Code.PAYLOAD_INVALID, "not a cursor of ours", details={"fields": ["cursor"]})
        return Reply(await self._books.history(call.path["user_id"], cursor, call.query.limit))

    async def credit(self, call: Call) -> Reply | Rejection:
        """POST /v1/users/{user_id}/credits"""
        outcome = await self._books.credit(
            call.path["user_id"],
            call.key,
            amount=call.body.amount,
            currency=call.body.currency,
            reason=call.body.reason,
            reference=call.body.reference,
        )
        if isinstance(outcome, Rejection):
            return outcome
        credited = Credited(outcome.transaction_id, outcome.replayed, outcome.total_cost, outcome.balance)
        return Reply(credited, 200 if outcome.replayed else 201)

    async def transaction(self, call: Call) -> Reply | Rejection | Missing:
        """GET /v1/transactions/{transaction_id}"""
        transaction_id = call.path["transaction_id"]
        found = await self._books.transaction(transaction_id) if is_transaction_id(transaction_id) else None
        return Missing("there is no such transaction") if found is None else Reply(found)

    async def reverse(self, call: Call) -> Reply | Rejection | Missing:
        """POST /v1/transactions/{transaction_id}/reverse"""
        transaction_id = call.path["transaction_id"]
        if not is_transaction_id(transaction_id):
            return Missing("there is no such transaction")
        outcome = await self._books.reverse(transaction_id, call.body.reason)
        if outcome is None:
            return Missing("there is no such transaction")
        if isinstance(outcome, Rejection):
            return outcome
        return Reply(Reversed(outcome.transaction_id, outcome.replayed), 200 if outcome.replayed else 201)

    async def board(self, call: Call) -> Reply | Rejection:
        """GET /v1/boards/{board}"""
        board, period = cast(Board, call.path["board"]), call.query.period
        entries = await self._boards.top(board, period, call.now_ms, call.query.limit)
        return Reply(BoardShown(board, period, entries))


def profile_of_claims(claims: Claims) -> Profile:
    """How others see the user of a token."""
    return Profile(claims.user_id, claims.name, claims.avatar, claims.role, claims.level, claims.vip)


def is_transaction_id(text: str) -> bool:
    """Whether this can name a transaction."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def _foreign(call: Call) -> Rejection | None:
    if call.claims is not None and call.claims.user_id != call.path["user_id"]:
        return Rejection(Code.FORBIDDEN, "another user's wallet")
    return None


def _paid(outcome: Outcome) -> Reply | Rejection:
    if isinstance(outcome, Rejection):
        return outcome
    paid = GiftPaid(outcome.transaction_id, outcome.replayed, outcome.total_cost, outcome.balance)
    return Reply(paid, 200 if outcome.replayed else 201)
