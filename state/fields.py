"""The bounded field types of messages, and what all commands share."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from state import limits
from state.ids import Identifier

Name = Annotated[str, Meta(max_length=limits.NAME_LENGTH_MAX)]
Url = Annotated[str, Meta(max_length=limits.URL_LENGTH_MAX)]
Reason = Annotated[str, Meta(max_length=limits.REASON_LENGTH_MAX)]
Token = Annotated[str, Meta(min_length=1, max_length=limits.TOKEN_LENGTH_MAX)]
Password = Annotated[str, Meta(max_length=limits.PASSWORD_LENGTH_MAX)]
Sequence = Annotated[int, Meta(ge=0, le=2**53)]
Index = Annotated[int, Meta(ge=-(2**31), lt=2**31)]
SeatCount = Annotated[int, Meta(ge=1, le=limits.SEATS_MAX)]
Capacity = Annotated[int, Meta(ge=1, le=limits.CAPACITY_MAX)]
SlowModeMs = Annotated[int, Meta(ge=0, le=limits.SLOW_MODE_MS_MAX)]
DurationS = Annotated[int, Meta(ge=1, le=limits.DURATION_S_MAX)]
Privacy = Literal["public", "private"]
SeatMode = Literal["free", "request"]
ChatMode = Literal["all", "seated", "admins", "off"]
GuestPolicy = Literal["listen", "chat", "deny"]
MessageKind = Literal["text", "sticker"]
Quantity = Annotated[int, Meta(ge=1, le=limits.QUANTITY_MAX)]
Recipients = Annotated[list[Identifier], Meta(min_length=1, max_length=limits.RECIPIENTS_MAX)]
Period = Literal["day", "week", "month", "all"]
Board = Literal["senders", "recipients", "rooms", "agencies"]
Sdp = Annotated[str, Meta(min_length=1, max_length=limits.SDP_LENGTH_MAX)]


class Base(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="command"):
    """What all commands share."""

    cid: Annotated[str, Meta(min_length=1, max_length=limits.ID_LENGTH_MAX)] | None = None


class Departure(Struct, frozen=True, forbid_unknown_fields=True):
    """Who left, and why."""

    user_id: str
    reason: str = "left"


class GiftShown(Struct, frozen=True, forbid_unknown_fields=True):
    """What the room needs to show a gift."""

    gift_id: str
    name: str
    animation_url: str
    sound_url: str
    price: int
