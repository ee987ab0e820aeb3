"""Wallets, credits, reversals and the history of an account."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Final, Literal

import asyncpg
from msgspec import Struct

from api.ledger.database import Database
from api.ledger.gifts import Paid, fingerprint
from state.rejections import Code, Rejection

Currency = Literal["coins", "diamonds"]
LATEST: Final = "ffffffff-ffff-ffff-ffff-ffffffffffff"


class Wallet(Struct, frozen=True):
    """What a user has, and what it has given and earned in gifts."""

    user_id: str
    coins: int = 0
    diamonds: int = 0
    wealth_xp: int = 0
    charm_xp: int = 0
    total_spent: int = 0
    total_received: int = 0


class Movement(Struct, frozen=True):
    """One account moved by one transaction."""

    transaction_id: str
    kind: str
    currency: str
    amount: int
    balance_after: int
    at: int
    room_id: str | None = None
    gift_id: str | None = None
    price: int | None = None
    quantity: int | None = None
    sender_id: str | None = None
    recipients: list[str] | None = None
    reason: str | None = None
    reference: str | None = None
    reversal_of: str | None = None


class MovementsPage(Struct, frozen=True):
    """Some movements, latest first, and where to go on."""

    transactions: list[Movement]
    next_cursor: str | None


class Part(Struct, frozen=True):
    """What a transaction moved for one user or agency."""

    kind: str
    owner_id: str
    currency: str
    amount: int


class Transaction(Struct, frozen=True):
    """A transaction and its parties."""

    transaction_id: str
    kind: str
    owner_id: str
    amount: int
    at: int
    entries: list[Part]
    room_id: str | None = None
    gift_id: str | None = None
    price: int | None = None
    quantity: int | None = None
    recipients: list[str] | None = None
    currency: str | None = None
    reason: str | None = None
    reference: str | None = None
    reversal_of: str | None = None
    reversed_by: str | None = None


class Books:
    """Reads and slow writes of the ledger."""

    def __init__(
        self,
        database: Database,
        *,
        shard: int,
        now_ms: Callable[[], int],
        new_transaction_id: Callable[[], str],
    ) -> None:
        self._database = database
        self._shard = shard
        self._now_ms = now_ms
        self._new_transaction_id = new_transaction_id

    async def wallets(self, user_ids: list[str]) -> dict[str, Wallet]:
        """The wallets of these users; who has no account yet has nothing."""
        return wallets_of(user_ids, await self._database.rows("wallets", user_ids))

    async def wallet(self, user_id: str) -> Wallet:
        """The wallet of one user."""
        return (await self.wallets([user_id]))[user_id]

    async def gift_by_key(self, sender_id: str, key: str, content: bytes) -> Paid | Rejection | None:
        """What became of a gift that was asked for before under this key."""
        row = await self._database.row("gift_by_key", sender_id, key)
        if row is None:
            return None
        if row["fingerprint"] != content:
            return Rejection(Code.IDEMPOTENCY_MISMATCH, "this key paid for another gift")
        return Paid(str(row["transaction_id"]), row["amount"], row["balance_after"], replayed=True)

    async def credit(
        self, user_id: str, key: str, *, amount: int, currency: Currency, reason: str, reference: str
    ) -> Paid | Rejection:
        """Money from outside, once per key and per reference."""
        content = fingerprint("credit", user_id, amount, currency, reference)
        head = (self._now_ms(), self._shard, self._new_transaction_id(), user_id, key, content)
        try:
            row = await self._database.row("credit", *head, currency, amount, reason, reference)
        except asyncpg.NumericValueOutOfRangeError:
            return Rejection(Code.CONFLICT, "the amount does not fit the account")
        if row["outcome"] == "mismatch":
            return Rejection(Code.IDEMPOTENCY_MISMATCH, "this key or reference stands for another credit")
        return Paid(
            str(row["transaction_id"]),
            row["amount_credited"],
            row["balance"],
            replayed=row["outcome"] == "replayed",
        )

    async def reverse(self, transaction_id: str, reason: str) -> Paid | Rejection | None:
        """Takes a transaction back, once; None when there is none of this id."""
        row = await self._database.row(
            "reverse", self._now_ms(), self._shard, self._new_transaction_id(), transaction_id, reason
        )
        match row["outcome"]:
            case "accepted" | "replayed":
                replayed = row["outcome"] == "replayed"
                return Paid(str(row["transaction_id"]), 0, 0, replayed=replayed)
            case "missing":
                return None
            case "final":
                return Rejection(Code.CONFLICT, "a reversal is final")
            case _:
                return Rejection(Code.INSUFFICIENT_FUNDS, "a party has spent what it received")

    async def history(self, user_id: str, before: str | None, limit: int) -> MovementsPage:
        """What moved a user's coins and diamonds, latest first."""
        found: list[Movement] = []
        for account in await self._database.rows("account_ids", user_id):
            rows = await self._database.rows("history", account["account_id"], before or LATEST, limit + 1)
            found += [_movement(row, account["currency"]) for row in rows]
        found.sort(key=lambda movement: movement.transaction_id, reverse=True)
        page = found[:limit]
        return MovementsPage(page, page[-1].transaction_id if len(found) > limit else None)

    async def transaction(self, transaction_id: str) -> Transaction | None:
        """One transaction with what it moved for users and agencies."""
        row = await self._database.row("transaction", transaction_id)
        if row is None:
            return None
        moved = await self._database.rows("movements", [transaction_id])
        fields = {key: _plain(value) for key, value in row.items()}
        fields["at"] = fields.pop("at_ms")
        parts = [Part(part["kind"], part["owner_id"], part["currency"], part["amount"]) for part in moved]
        return Transaction(entries=parts, **fields)


def wallets_of(user_ids: list[str], rows: list[Any]) -> dict[str, Wallet]:
    """Rows of accounts as wallets."""
    fields: dict[str, dict[str, Any]] = {user_id: {"user_id": user_id} for user_id in user_ids}
    for row in rows:
        if row["currency"] == "coins":
            names = ("coins", "wealth_xp", "total_spent")
        else:
            names = ("diamonds", "charm_xp", "total_received")
        values = (row["balance"], row["experience"], row["gift_total"])
        fields[row["owner_id"]].update(zip(names, values, strict=True))
    return {user_id: Wallet(**found) for user_id, found in fields.items()}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, uuid.UUID) else value


def _movement(row: Any, currency: str) -> Movement:
    return Movement(
        transaction_id=str(row["transaction_id"]),
        kind=row["kind"],
        currency=currency,
        amount=row["amount"],
        balance_after=row["balance_after"],
        at=row["at_ms"],
        room_id=row["room_id"],
        gift_id=row["gift_id"],
        price=row["price"],
        quantity=row["quantity"],
        sender_id=row["owner_id"] if row["kind"] == "gift" else None,
        recipients=row["recipients"],
        reason=row["reason"],
        reference=row["reference"],
        reversal_of=_plain(row["reversal_of"]),
    )
