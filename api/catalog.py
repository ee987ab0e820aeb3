"""The gifts on sale, cached.

Prices are read for every gift that is sent, and change a few times a year. Each node keeps the whole
catalog and has it read anew, aside, when its copy is older than a second; a change made through this node
is seen at once. When the database does not answer, the copy at hand serves on: a gift can not be paid
without the database anyway.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from api.ledger.database import Database
from state import limits
from state.fields import GiftShown, Name, Url
from state.ids import Identifier
from state.rejections import Unavailable

FRESH_MS: Final = 1_000
PRICE_MAX: Final = 2**40  # times quantity and recipients still far below 64 bits

Price = Annotated[int, Meta(ge=1, le=PRICE_MAX)]
Multiplier = Annotated[float, Meta(ge=0, le=100, description="Counted in hundredths.")]
Category = Annotated[str, Meta(max_length=64)]


class GiftFields(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a backend says of a gift."""

    name: Annotated[str, Meta(min_length=1, max_length=limits.NAME_LENGTH_MAX)]
    price: Price
    category: Category = ""
    rarity: Category = ""
    animation_url: Url = ""
    thumbnail_url: Url = ""
    sound_url: Url = ""
    combo: bool = False
    combo_window_ms: Annotated[int, Meta(ge=100, le=limits.COMBO_WINDOW_MS_MAX)] = (
        limits.COMBO_WINDOW_MS_DEFAULT
    )
    vip_level: Annotated[int, Meta(ge=0, le=1_000)] = 0
    wealth_xp_multiplier: Multiplier = 1.0
    charm_xp_multiplier: Multiplier = 1.0
    is_active: bool = True


class CatalogGift(Struct, frozen=True, kw_only=True):
    """A gift as everybody sees it."""

    gift_id: Identifier
    name: Name
    price: Price
    category: str
    rarity: str
    animation_url: str
    thumbnail_url: str
    sound_url: str
    combo: bool
    combo_window_ms: int
    vip_level: int
    wealth_xp_multiplier: float
    charm_xp_multiplier: float
    is_active: bool

    def shown(self) -> GiftShown:
        """What the room needs of it."""
        return GiftShown(self.gift_id, self.name, self.animation_url, self.sound_url, self.price)


class Listing(Struct, frozen=True):
    """The catalog at a moment."""

    gifts: tuple[CatalogGift, ...]
    etag: str


def experience(amount: int, multiplier: float) -> int:
    """What an amount counts for, in whole points; the multiplier is exact to hundredths."""
    return amount * round(multiplier * 100) // 100


class Catalog:
    """The gifts of this deployment."""

    def __init__(self, database: Database, *, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms
        self._listing: Listing | None = None
        self._by_id: dict[str, CatalogGift] = {}
        self._read_ms = 0
        self._changes = 0
        self._reading: asyncio.Task[None] | None = None

    async def listing(self) -> Listing:
        """All gifts with the tag that stands for exactly this list."""
        now_ms = self._now_ms()
        if self._listing is None:
            self._read_ms = now_ms
            await self._read()
        elif now_ms - self._read_ms >= FRESH_MS:
            # Stamped first: of many who come at once, one has it read; and nobody waits for it.
            self._read_ms = now_ms
            self._reading = asyncio.create_task(self._read_quietly())
        assert self._listing is not None
        return self._listing

    async def _read(self) -> None:
        changes = self._changes
        gifts = [_gift(row) for row in await self._database.rows("catalog")]
        # What was read before a change of our own is old news.
        if changes == self._changes:
            self._keep(gifts)
        elif self._listing is None:
            await self._read()

    async def _read_quietly(self) -> None:
        with contextlib.suppress(Unavailable):
            await self._read()

    async def gift(self, gift_id: str) -> CatalogGift | None:
        """One gift."""
        await self.listing()
        return self._by_id.get(gift_id)

    async def put(self, gift_id: str, fields: GiftFields) -> tuple[CatalogGift, bool]:
        """Adds or changes a gift; says whether it is new."""
        values: dict[str, Any] = msgspec.structs.asdict(fields)
        for name in ("wealth_xp", "charm_xp"):
            values[f"{name}_percent"] = round(values.pop(f"{name}_multiplier") * 100)
        row = await self._database.row(
            "catalog_put", gift_id, *(values[column] for column in _COLUMNS), self._now_ms()
        )
        self._changes += 1
        self._listing = None
        return _gift({"gift_id": gift_id, **values}), bool(row["created"])

    def _keep(self, gifts: list[CatalogGift]) -> None:
        etag = hashlib.blake2b(msgspec.json.encode(gifts), digest_size=12).hexdigest()
        self._listing = Listing(tuple(gifts), etag)
        self._by_id = {gift.gift_id: gift for gift in gifts}


_COLUMNS: Final = (
    "name",
    "price",
    "category",
    "rarity",
    "animation_url",
    "thumbnail_url",
    "sound_url",
    "combo",
    "combo_window_ms",
    "vip_level",
    "wealth_xp_percent",
    "charm_xp_percent",
    "is_active",
)


def _gift(row: Any) -> CatalogGift:
    values = dict(row)
    for name in ("wealth_xp", "charm_xp"):
        values[f"{name}_multiplier"] = values.pop(f"{name}_percent") / 100
    return CatalogGift(**values)


SAMPLE: Final = {
    "rose": GiftFields(name="Rose", price=1, combo=True, category="classic", rarity="common"),
    "heart": GiftFields(name="Heart", price=10, combo=True, category="classic", rarity="common"),
    "crown": GiftFields(name="Crown", price=100, combo=True, category="classic", rarity="rare"),
    "rocket": GiftFields(name="Rocket", price=1_000, combo=True, category="classic", rarity="epic"),
}


async def seed(catalog: Catalog) -> None:
    """Gives an empty catalog a few gifts, so that a first look shows something."""
    if (await catalog.listing()).gifts:
        return
    for gift_id, fields in SAMPLE.items():
        await catalog.put(gift_id, fields)
