"""Refusals: what the server says instead of yes.

A refusal is a value and part of normal life; it has a code, says whether trying again can help, and has one
HTTP status. A failure (a server that does not answer) is an exception, `Unavailable`, and is turned into the
code of the same name at the edge.
"""

from enum import StrEnum
from typing import Any, Final, Literal

from msgspec import Struct

Retry = Literal["never", "after_change", "later"]


class Code(StrEnum):
    """Every code a client can meet."""

    AUTH_REQUIRED = "AUTH_REQUIRED"
    TOKEN_INVALID = "TOKEN_INVALID"
    TOKEN_EXPIRED = "TOKEN_EXPIRED"
    FORBIDDEN = "FORBIDDEN"
    FORBIDDEN_TARGET = "FORBIDDEN_TARGET"
    CANNOT_TARGET_SELF = "CANNOT_TARGET_SELF"
    BANNED = "BANNED"
    ROOM_NOT_FOUND = "ROOM_NOT_FOUND"
    ROOM_CLOSED = "ROOM_CLOSED"
    ROOM_FULL = "ROOM_FULL"
    ROOM_EXISTS = "ROOM_EXISTS"
    PASSWORD_REQUIRED = "PASSWORD_REQUIRED"
    PASSWORD_WRONG = "PASSWORD_WRONG"
    NOT_IN_ROOM = "NOT_IN_ROOM"
    TARGET_NOT_IN_ROOM = "TARGET_NOT_IN_ROOM"
    SEAT_INDEX_INVALID = "SEAT_INDEX_INVALID"
    SEAT_LOCKED = "SEAT_LOCKED"
    SEAT_OCCUPIED = "SEAT_OCCUPIED"
    SEAT_MODE_REQUEST = "SEAT_MODE_REQUEST"
    SEAT_COOLDOWN = "SEAT_COOLDOWN"
    SEAT_ALL_TAKEN = "SEAT_ALL_TAKEN"
    SEAT_SAME_INDEX = "SEAT_SAME_INDEX"
    ALREADY_SEATED = "ALREADY_SEATED"
    NOT_SEATED = "NOT_SEATED"
    REQUEST_EXISTS = "REQUEST_EXISTS"
    REQUEST_QUEUE_FULL = "REQUEST_QUEUE_FULL"
    REQUEST_NOT_FOUND = "REQUEST_NOT_FOUND"
    INVITE_NOT_FOUND = "INVITE_NOT_FOUND"
    MIC_LOCKED_BY_SEAT = "MIC_LOCKED_BY_SEAT"
    MIC_LOCKED_BY_ADMIN = "MIC_LOCKED_BY_ADMIN"
    CHAT_DISABLED = "CHAT_DISABLED"
    CHAT_MUTED = "CHAT_MUTED"
    CHAT_TOO_FAST = "CHAT_TOO_FAST"
    MESSAGE_NOT_FOUND = "MESSAGE_NOT_FOUND"
    GIFT_NOT_FOUND = "GIFT_NOT_FOUND"
    GIFT_INACTIVE = "GIFT_INACTIVE"
    GIFT_VIP_ONLY = "GIFT_VIP_ONLY"
    RECIPIENT_INVALID = "RECIPIENT_INVALID"
    INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS"
    IDEMPOTENCY_MISMATCH = "IDEMPOTENCY_MISMATCH"
    RTC_UNSUPPORTED = "RTC_UNSUPPORTED"
    RTC_NOT_FOUND = "RTC_NOT_FOUND"
    RATE_LIMITED = "RATE_LIMITED"
    PAYLOAD_INVALID = "PAYLOAD_INVALID"
    CONFLICT = "CONFLICT"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL = "INTERNAL"

    @property
    def retry(self) -> Retry:
        """Whether the same command can succeed: never, after something changed, or simply later."""
        return _MEANING[self][0]

    @property
    def http_status(self) -> int:
        """The status of a REST answer that carries this code."""
        return _MEANING[self][1]

    @property
    def sentence(self) -> str:
        """What it means, for a log or a developer's console."""
        return _MEANING[self][2]


_MEANING: Final[dict[Code, tuple[Retry, int, str]]] = {
    Code.AUTH_REQUIRED: ("after_change", 401, "A token or a service key is needed."),
    Code.TOKEN_INVALID: ("after_change", 401, "The token is not one of ours, or not for this."),
    Code.TOKEN_EXPIRED: ("after_change", 401, "The token's time is over."),
    Code.FORBIDDEN: ("after_change", 403, "The role does not permit this."),
    Code.FORBIDDEN_TARGET: ("after_change", 403, "The other user's role is not lower."),
    Code.CANNOT_TARGET_SELF: ("never", 422, "This can not be done to oneself."),
    Code.BANNED: ("after_change", 403, "The user is banned from this room."),
    Code.ROOM_NOT_FOUND: ("after_change", 404, "There is no such room."),
    Code.ROOM_CLOSED: ("never", 410, "The room was closed."),
    Code.ROOM_FULL: ("later", 409, "The room has no place left."),
    Code.ROOM_EXISTS: ("never", 409, "A room of this id exists."),
    Code.PASSWORD_REQUIRED: ("after_change", 403, "The room asks for a password."),
    Code.PASSWORD_WRONG: ("after_change", 403, "The password is not right."),
    Code.NOT_IN_ROOM: ("after_change", 409, "Join the room first."),
    Code.TARGET_NOT_IN_ROOM: ("after_change", 409, "The other user is not in the room."),
    Code.SEAT_INDEX_INVALID: ("never", 422, "The room has no such seat."),
    Code.SEAT_LOCKED: ("after_change", 409, "The seat is locked."),
    Code.SEAT_OCCUPIED: ("after_change", 409, "The seat is taken or held for somebody."),
    Code.SEAT_MODE_REQUEST: ("after_change", 409, "Seats of this room are asked for."),
    Code.SEAT_COOLDOWN: ("later", 409, "The user was just taken off a seat."),
    Code.SEAT_ALL_TAKEN: ("after_change", 409, "No seat is free."),
    Code.SEAT_SAME_INDEX: ("never", 409, "The user sits there already."),
    Code.ALREADY_SEATED: ("after_change", 409, "The user has a seat."),
    Code.NOT_SEATED: ("after_change", 409, "The user has no seat."),
    Code.REQUEST_EXISTS: ("after_change", 409, "The user has asked already."),
    Code.REQUEST_QUEUE_FULL: ("later", 409, "Too many are waiting."),
    Code.REQUEST_NOT_FOUND: ("never", 404, "The request does not exist or was answered."),
    Code.INVITE_NOT_FOUND: ("never", 404, "The invite does not exist or was answered."),
    Code.MIC_LOCKED_BY_SEAT: ("after_change", 409, "The seat is muted."),
    Code.MIC_LOCKED_BY_ADMIN: ("after_change", 409, "An admin muted the user."),
    Code.CHAT_DISABLED: ("after_change", 403, "The room's chat is not open to this user."),
    Code.CHAT_MUTED: ("after_change", 403, "The user may not write in this room."),
    Code.CHAT_TOO_FAST: ("later", 429, "Slow mode: wait before the next message."),
    Code.MESSAGE_NOT_FOUND: ("never", 404, "There is no such message."),
    Code.GIFT_NOT_FOUND: ("never", 404, "There is no such gift."),
    Code.GIFT_INACTIVE: ("after_change", 409, "The gift is not on sale."),
    Code.GIFT_VIP_ONLY: ("after_change", 403, "The gift asks for a higher VIP level."),
    Code.RECIPIENT_INVALID: ("after_change", 422, "A recipient can not receive this gift here."),
    Code.INSUFFICIENT_FUNDS: ("after_change", 402, "The wallet does not hold enough."),
    Code.IDEMPOTENCY_MISMATCH: ("never", 409, "This key was used for something else."),
    Code.RTC_UNSUPPORTED: ("never", 422, "The media parameters can not be served."),
    Code.RTC_NOT_FOUND: ("after_change", 404, "There is no such transport, producer or consumer."),
    Code.RATE_LIMITED: ("later", 429, "Too many commands."),
    Code.PAYLOAD_INVALID: ("never", 422, "The fields are not those of the contract."),
    Code.CONFLICT: ("after_change", 409, "This does not go with the present state."),
    Code.UNAVAILABLE: ("later", 503, "A server behind this one does not answer."),
    Code.INTERNAL: ("later", 500, "A defect on our side."),
}


class Rejection(Struct, frozen=True, omit_defaults=True):
    """A refusal: the code and what a client can use to do better."""

    code: Code
    message: str = ""
    retry_after_ms: int | None = None
    details: dict[str, Any] | None = None


class Unavailable(Exception):
    """A server that a port talks to did not answer, or not in time. Trying again later may help."""
