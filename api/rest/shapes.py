"""What requests carry and what answers give, as types: validation and the document both read them here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from api.boards import BoardEntry
from api.catalog import CatalogGift
from state import limits
from state.events import Settings
from state.fields import (
    Capacity,
    ChatMode,
    GuestPolicy,
    Name,
    Password,
    Period,
    Privacy,
    Quantity,
    Reason,
    Recipients,
    SeatCount,
    SeatMode,
    SlowModeMs,
    Token,
    Url,
)
from state.identity import Role
from state.ids import Identifier

Amount = Annotated[int, Meta(ge=1, le=limits.MONEY_MAX)]
Lifetime = Annotated[int, Meta(ge=1, le=30 * 86_400)]
BasisPoints = Annotated[int, Meta(ge=0, le=10_000)]
PageLimit = Annotated[int, Meta(ge=1, le=100)]
Cursor = Annotated[str, Meta(min_length=1, max_length=128, pattern="^[A-Za-z0-9_-]+$")]
Theme = Annotated[str, Meta(max_length=limits.THEME_LENGTH_MAX)]
Announcement = Annotated[str, Meta(max_length=limits.ANNOUNCEMENT_LENGTH_MAX)]
RoomName = Annotated[str, Meta(min_length=1, max_length=limits.NAME_LENGTH_MAX)]


class Strict(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What comes from outside: a field we do not know is a mistake."""


# --- Rooms ------------------------------------------------------------------------------------------------


class RoomChanges(Strict, frozen=True):
    """Settings to change; what is absent stays."""

    name: RoomName | UnsetType = UNSET
    theme: Theme | UnsetType = UNSET
    background_url: Url | UnsetType = UNSET
    announcement: Announcement | UnsetType = UNSET
    privacy: Privacy | UnsetType = UNSET
    password: Password | UnsetType = UNSET
    capacity: Capacity | UnsetType = UNSET
    seat_count: SeatCount | UnsetType = UNSET
    seat_mode: SeatMode | UnsetType = UNSET
    chat_mode: ChatMode | UnsetType = UNSET
    slow_mode_ms: SlowModeMs | UnsetType = UNSET
    guest_policy: GuestPolicy | UnsetType = UNSET


class NewRoom(RoomChanges, frozen=True, kw_only=True):
    """A room to make."""

    name: RoomName
    owner_id: Identifier
    room_id: Identifier | None = None


class RoomShown(Struct, frozen=True):
    """A room as backends see it."""

    room_id: str
    owner_id: str
    settings: Settings
    online: int
    seated: int
    created_at: int


class RoomList(Struct, frozen=True):
    """A page of live rooms."""

    rooms: list[RoomShown]
    next_cursor: str | None


class PageQuery(Strict, frozen=True):
    """Where to go on, and how much at once."""

    cursor: Cursor | None = None
    limit: PageLimit = 50


class AfterQuery(Strict, frozen=True):
    """The position after which events are wanted: a sequence number of the present epoch, or `epoch:seq`."""

    after: Annotated[str, Meta(pattern="^([A-Za-z0-9_-]{1,64}:)?[0-9]{1,15}$")]


class Events(Struct, frozen=True):
    """Events in order as `[name, body]`."""

    events: list[tuple[str, dict[str, Any]]]
    epoch: str
    seq: int


class Transports(Struct, frozen=True):
    """A room's media transports with what they carry, as `rtc:stats` tells it; speakers first."""

    transports: list[dict[str, Any]]
    # All there are; only so many are shown.
    total: int


class AnyCommand(Strict, frozen=True):
    """A room command, as the system or on behalf of a user."""

    command: Annotated[str, Meta(min_length=1, max_length=64)]
    fields: dict[str, Any] = {}
    as_user: Identifier | None = None


class Performed(Struct, frozen=True):
    """What the command's ack would say, and where the room stands."""

    data: dict[str, Any]
    epoch: str
    seq: int


# --- Tokens -----------------------------------------------------------------------------------------------


class NewToken(Strict, frozen=True):
    """For whom a token is."""

    user_id: Identifier
    role: Role = "member"
    perms: Annotated[list[Annotated[str, Meta(min_length=1, max_length=64)]], Meta(max_length=64)] | None = (
        None
    )
    name: Name = ""
    avatar: Url = ""
    level: Annotated[int, Meta(ge=0, le=limits.LEVEL_MAX)] = 0
    vip: Annotated[int, Meta(ge=0, le=limits.LEVEL_MAX)] = 0
    device_id: Identifier | None = None
    ttl_s: Lifetime | None = None


class TokenIssued(Struct, frozen=True):
    """A room token and where to use it."""

    token: str
    expires_at: int
    socket_url: str


class TokenGiven(Strict, frozen=True):
    """A token to look at."""

    token: Token


class TokenRenewal(Strict, frozen=True):
    """For users nothing; a backend says whose token."""

    token: Token | None = None
    ttl_s: Lifetime | None = None


class TokenClaims(Struct, frozen=True):
    """What a token says."""

    user_id: str
    room_id: str
    role: Role
    perms: list[str] | None
    name: str
    avatar: str
    level: int
    vip: int
    device_id: str | None
    issued_at: int
    expires_at: int


# --- Money ------------------------------------------------------------------------------------------------


class GiftOrder(Strict, frozen=True):
    """A gift for users of the room: named ones, or all who are seated. Only backends name a sender."""

    gift_id: Identifier
    quantity: Quantity
    recipients: Recipients | None = None
    scope: Literal["seated"] | None = None
    sender_id: Identifier | None = None


class GiftPaid(Struct, frozen=True):
    """A gift is paid. `replayed`: it was before."""

    transaction_id: str
    replayed: bool
    total_cost: int
    balance: int


class GiftList(Struct, frozen=True):
    """The catalog."""

    gifts: tuple[CatalogGift, ...]
    etag: str


class Credit(Strict, frozen=True):
    """Money from outside."""

    amount: Amount
    currency: Literal["coins", "diamonds"]
    reason: Reason
    reference: Annotated[str, Meta(min_length=1, max_length=128, pattern="^[ -~]+$")]


class Credited(Struct, frozen=True):
    """A credit is booked. `replayed`: it was before."""

    transaction_id: str
    replayed: bool
    amount: int
    balance: int


class Reversal(Strict, frozen=True):
    """Why a transaction is taken back."""

    reason: Reason = ""


class Reversed(Struct, frozen=True):
    """The compensating transaction. `replayed`: it was reversed before."""

    transaction_id: str
    replayed: bool


class AgencyTerms(Strict, frozen=True):
    """What an agency takes of its members' earnings, in basis points."""

    commission_bps: BasisPoints = 1_000


class AgencyShown(Struct, frozen=True):
    """An agency."""

    agency_id: str
    commission_bps: int


class MemberTerms(Strict, frozen=True):
    """What the agency takes of this member's earnings, if not its usual rate."""

    commission_bps: BasisPoints | None = None


class MembershipShown(Struct, frozen=True):
    """A member of an agency; no commission of its own means the agency's."""

    user_id: str
    agency_id: str
    commission_bps: int | None


class BoardQuery(Strict, frozen=True):
    """Which stretch of time, and how many places."""

    period: Period = "day"
    limit: PageLimit = 20


class BoardShown(Struct, frozen=True):
    """A board."""

    board: str
    period: str
    entries: list[BoardEntry]
