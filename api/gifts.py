"""Sending a gift: the one use case behind `POST /v1/rooms/{id}/gifts` and `gift:send`.

What a client says is only: this gift, so many, for these. Price, experience and shares are the server's. Who
the recipients are is judged against the room as it is now: its owner, or somebody present, never the sender.

A repeated request must get its first answer even if the world has changed since (the gift is off sale, the
recipient has left). So a refusal is only given after a look into the ledger for the key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

import msgspec
from msgspec import Struct

from api.catalog import Catalog, CatalogGift, experience
from api.ledger.books import Books
from api.ledger.gifts import Gift, GiftWriter, Outcome, Paid, fingerprint
from api.outbox import Detail
from state import limits
from state.audience import Audience
from state.identity import Profile
from state.rejections import Code, Rejection, Unavailable
from state.room import Room, seat_of
from state.rooms import Rooms


class Order(Struct, frozen=True):
    """What somebody asks for."""

    sender: Profile
    room_id: str
    gift_id: str
    quantity: int
    key: str
    recipients: tuple[str, ...] | None = None
    scope: Literal["seated"] | None = None

    def fingerprint(self) -> bytes:
        """What makes a repeat the same request: all that was said, in no particular order of recipients."""
        named = None if self.recipients is None else sorted(self.recipients)
        return fingerprint(self.room_id, self.gift_id, self.quantity, named, self.scope)


class Gifts:
    """Takes orders."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        rooms: Rooms,
        audience: Audience,
        writer: GiftWriter,
        books: Books,
        new_transaction_id: Callable[[], str],
        wake_relay: Callable[[], None],
        now_ms: Callable[[], int],
        timeout_seconds: float,
    ) -> None:
        self._catalog = catalog
        self._rooms = rooms
        self._audience = audience
        self._writer = writer
        self._books = books
        self._new_transaction_id = new_transaction_id
        self._wake_relay = wake_relay
        self._now_ms = now_ms
        self._timeout_seconds = timeout_seconds

    async def send(self, order: Order) -> Outcome:
        """Pays a gift, once per key of its sender. Raises Unavailable: ask again with the same key."""
        try:
            # One bound for the whole way: catalog, room and ledger.
            async with asyncio.timeout(self._timeout_seconds):
                return await self._send(order)
        except TimeoutError as error:
            raise Unavailable("the gift could not be decided in time") from error

    async def _send(self, order: Order) -> Outcome:
        malformed = _malformed(order)
        if malformed is not None:
            return malformed
        prepared = await self._prepared(order)
        if isinstance(prepared, Rejection):
            known = await self._books.gift_by_key(order.sender.user_id, order.key, order.fingerprint())
            return known or prepared
        outcome = await self._writer.pay(prepared)
        if isinstance(outcome, Paid) and not outcome.replayed:
            self._wake_relay()
        return outcome

    async def _prepared(self, order: Order) -> Gift | Rejection:
        gift = await self._catalog.gift(order.gift_id)
        if gift is None:
            return Rejection(Code.GIFT_NOT_FOUND, "there is no such gift")
        if not gift.is_active:
            return Rejection(Code.GIFT_INACTIVE, "the gift is not on sale")
        if order.sender.vip < gift.vip_level:
            needed = {"vip_level": gift.vip_level}
            return Rejection(Code.GIFT_VIP_ONLY, f"needs VIP level {gift.vip_level}", details=needed)
        room = await self._rooms.load(order.room_id)
        refusal = closed_to(room, order.sender.user_id, self._now_ms())
        if refusal is not None:
            return refusal
        assert room is not None
        recipients = await self._recipients(order, room)
        if isinstance(recipients, Rejection):
            return recipients
        return self._gift(order, gift, recipients)

    async def _recipients(self, order: Order, room: Room) -> tuple[str, ...] | Rejection:
        sender = order.sender.user_id
        if order.recipients is None:
            seated = [seat.user.user_id for seat in room.seats if seat.user is not None]
            others = tuple(user_id for user_id in seated if user_id != sender)
            return others or Rejection(Code.RECIPIENT_INVALID, "nobody else is seated")
        if sender in order.recipients:
            return _invalid([sender], "a gift to oneself")
        unknown = [
            user_id
            for user_id in order.recipients
            if user_id != room.owner_id and seat_of(room, user_id) is None
        ]
        present = await asyncio.gather(*(self._audience.member(room.room_id, user) for user in unknown))
        absent = [user for user, member in zip(unknown, present, strict=True) if member is None]
        return _invalid(absent, "not in the room") if absent else order.recipients

    def _gift(self, order: Order, gift: CatalogGift, recipients: tuple[str, ...]) -> Gift | Rejection:
        value = gift.price * order.quantity
        wealth_xp = experience(value * len(recipients), gift.wealth_xp_multiplier)
        charm_xp = experience(value, gift.charm_xp_multiplier)
        if max(value * len(recipients), wealth_xp, charm_xp) > limits.MONEY_MAX:
            return Rejection(
                Code.PAYLOAD_INVALID, "the amount is too large", details={"fields": ["quantity"]}
            )
        window_ms = gift.combo_window_ms if gift.combo else None
        return Gift(
            transaction_id=self._new_transaction_id(),
            sender_id=order.sender.user_id,
            key=order.key,
            fingerprint=order.fingerprint(),
            room_id=order.room_id,
            gift_id=order.gift_id,
            price=gift.price,
            quantity=order.quantity,
            recipients=recipients,
            wealth_xp=wealth_xp,
            charm_xp=charm_xp,
            detail=msgspec.json.encode(Detail(order.sender, gift.shown(), window_ms)).decode(),
        )


def closed_to(room: Room | None, user_id: str, now_ms: int) -> Rejection | None:
    """Why a user has no business with a room: it is not there, over, or the user is banned."""
    if room is None:
        return Rejection(Code.ROOM_NOT_FOUND, "there is no such room")
    if room.closed_reason is not None:
        return Rejection(Code.ROOM_CLOSED, "the room was closed")
    ban = room.bans.get(user_id)
    if ban is not None and (ban.until is None or ban.until > now_ms):
        return Rejection(Code.BANNED, "banned from this room", details={"until": ban.until})
    return None


def _malformed(order: Order) -> Rejection | None:
    if (order.recipients is None) == (order.scope is None):
        return _payload("either recipients or a scope", "recipients")
    if order.recipients is not None and len(set(order.recipients)) != len(order.recipients):
        return _payload("a recipient is named twice", "recipients")
    return None


def _payload(message: str, field: str) -> Rejection:
    return Rejection(Code.PAYLOAD_INVALID, message, details={"fields": [field]})


def _invalid(users: list[str], reason: str) -> Rejection:
    return Rejection(Code.RECIPIENT_INVALID, reason, details={"recipients": users})
