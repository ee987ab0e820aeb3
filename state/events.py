"""Everything that may have happened, one frozen struct per event.

An event says what is now, never by how much it changed, so that meeting it twice does no harm. Some events
carry what only the document needs (a password hash, a cooldown): those fields are named in `HIDDEN` and
never reach a client. Some concern only admins and one user: `concerned` names them.

The lossy events and those to one user are declared here too, but never enter a room's stream.
"""

from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from state import limits
from state.fields import (
    Capacity,
    ChatMode,
    Departure,
    GiftShown,
    GuestPolicy,
    MessageKind,
    Name,
    Privacy,
    SeatCount,
    SeatMode,
    SlowModeMs,
)
from state.identity import Profile, Role

SeatCause = Literal[
    "take",
    "leave",
    "move",
    "kick",
    "lock",
    "unlock",
    "mute",
    "unmute",
    "accept",
    "invite",
    "timeout",
    "update",
]
Resolution = Literal["accepted", "rejected", "cancelled", "expired"]
KickReason = Literal["kicked", "banned", "other_device", "token_expired", "room_closed"]


class Part(Struct, frozen=True, forbid_unknown_fields=True):
    """A piece of an event or of a document."""


class Happening(Struct, frozen=True, forbid_unknown_fields=True, tag_field="event"):
    """What all events share: the tag is the name on the wire."""


# --- Parts ----------------------------------------------------------------------------------------------


class Settings(Part, frozen=True):
    """The settings of a room that everybody may see."""

    name: Name = ""
    theme: str = ""
    background_url: str = ""
    announcement: str = ""
    privacy: Privacy = "public"
    has_password: bool = False
    capacity: Capacity = limits.CAPACITY_DEFAULT
    seat_count: SeatCount = limits.SEATS_DEFAULT
    seat_mode: SeatMode = "free"
    chat_mode: ChatMode = "all"
    slow_mode_ms: SlowModeMs = 0
    guest_policy: GuestPolicy = "listen"


class Sitter(Part, frozen=True):
    """Who sits on a seat."""

    user_id: str
    name: str = ""
    avatar: str = ""
    role: Role = "member"


class Mic(Part, frozen=True):
    """The mic of a sitter."""

    self_muted: bool
    admin_muted: bool
    can_publish: bool


class SeatShown(Part, frozen=True):
    """A seat as clients see it."""

    index: int
    locked: bool
    muted: bool
    user: Sitter | None
    mic: Mic | None
    away: bool


class Request(Part, frozen=True):
    """A user waits for a seat."""

    request_id: str
    user: Profile
    index: int
    note: str
    created_at: int
    expires_at: int


class Invite(Part, frozen=True):
    """A seat is held for a user until it answers."""

    invite_id: str
    user_id: str
    index: int
    by: str
    created_at: int
    expires_at: int


class ComboShown(Part, frozen=True):
    """The running count of one sender's repeated gift."""

    combo_id: str
    count: int
    total_quantity: int
    ends_at: int


# --- Events of the room, in its stream ------------------------------------------------------------------


class RoomUpdated(Happening, frozen=True, tag="room:updated"):
    """The settings are now these. `password_hash` is None when unchanged, empty when removed."""

    settings: Settings
    password_hash: str | None = None


class RoomClosed(Happening, frozen=True, tag="room:closed"):
    """The room is over."""

    reason: str


class RoomOwnerChanged(Happening, frozen=True, tag="room:owner_changed"):
    """The room has another owner."""

    user_id: str


class MemberJoined(Happening, frozen=True, tag="member:joined"):
    """A user came in with its first connection."""

    user: Profile


class MemberLeft(Happening, frozen=True, tag="member:left"):
    """A user's last connection is gone."""

    user_id: str
    reason: str


class MemberBatch(Happening, frozen=True, tag="member:batch"):
    """Comings and goings of a big room."""

    joined: tuple[Profile, ...]
    left: tuple[Departure, ...]
    online: int


class SeatChanged(Happening, frozen=True, tag="seat:changed"):
    """All seats that changed, as they are now. `cooldowns` bars users from seats until a time."""

    cause: SeatCause
    seats: tuple[SeatShown, ...]
    cooldowns: dict[str, int] | None = None


class SeatRequested(Happening, frozen=True, tag="seat:requested"):
    """A user asked for a seat."""

    request: Request


class SeatRequestResolved(Happening, frozen=True, tag="seat:request_resolved"):
    """A request is answered."""

    request_id: str
    user_id: str
    result: Resolution


class SeatInvited(Happening, frozen=True, tag="seat:invited"):
    """A user was offered a seat."""

    invite: Invite


class SeatInviteResolved(Happening, frozen=True, tag="seat:invite_resolved"):
    """An invite is answered."""

    invite_id: str
    user_id: str
    result: Resolution


class MicChanged(Happening, frozen=True, tag="mic:changed"):
    """A user's mic is now so; `index` is null for one who is not seated. `until` ends an admin's mute."""

    user_id: str
    index: int | None
    self_muted: bool
    admin_muted: bool
    can_publish: bool
    until: int | None = None


class MicUnmuteAsked(Happening, frozen=True, tag="mic:unmute_asked"):
    """An admin asks this user to open the mic."""

    user_id: str


class ChatMessage(Happening, frozen=True, tag="chat:message", omit_defaults=True):
    """Somebody said something."""

    message_id: str
    user: Profile
    text: str
    kind: MessageKind
    reply_to: str | None = None
    mentions: tuple[str, ...] | None = None


class ChatDeleted(Happening, frozen=True, tag="chat:deleted"):
    """A message is gone."""

    message_id: str


class ChatUserMuted(Happening, frozen=True, tag="chat:user_muted"):
    """A user may not write until a time; null is for good, 0 lifts it."""

    user_id: str
    until: int | None


class ModRoleChanged(Happening, frozen=True, tag="mod:role_changed"):
    """A user was appointed or dismissed."""

    user_id: str
    role: Role


class ModUserKicked(Happening, frozen=True, tag="mod:user_kicked"):
    """A user was put out."""

    user_id: str
    reason: str


class ModUserBanned(Happening, frozen=True, tag="mod:user_banned"):
    """A user was put out and stays out until a time; null is for good."""

    user_id: str
    until: int | None
    reason: str


class ModUserUnbanned(Happening, frozen=True, tag="internal:user_unbanned"):
    """A ban was lifted or ended. Clients are not told."""

    user_id: str


class GiftSent(Happening, frozen=True, tag="gift:sent"):
    """A gift was given."""

    transaction_id: str
    sender: Profile
    gift: GiftShown
    quantity: int
    recipients: tuple[str, ...]
    total_cost: int
    combo: ComboShown | None
    play_at: int


class GiftComboEnded(Happening, frozen=True, tag="gift:combo_ended"):
    """A combo is over; these are its final figures."""

    combo_id: str
    sender_id: str
    gift_id: str
    count: int
    total_quantity: int
    total_cost: int


Event = (
    RoomUpdated
    | RoomClosed
    | RoomOwnerChanged
    | MemberJoined
    | MemberLeft
    | MemberBatch
    | SeatChanged
    | SeatRequested
    | SeatRequestResolved
    | SeatInvited
    | SeatInviteResolved
    | MicChanged
    | MicUnmuteAsked
    | ChatMessage
    | ChatDeleted
    | ChatUserMuted
    | ModRoleChanged
    | ModUserKicked
    | ModUserBanned
    | ModUserUnbanned
    | GiftSent
    | GiftComboEnded
)


# --- The lossy lane: no position, droppable, never stored -----------------------------------------------


class RoomStats(Happening, frozen=True, tag="room:stats"):
    """How many users are in the room."""

    online: int


class AudioLevels(Happening, frozen=True, tag="audio:levels"):
    """Who speaks how loud (1 faint, 127 loudest; who is not named is silent), and who is heard most."""

    levels: tuple[tuple[str, Annotated[int, Meta(ge=0, le=limits.LEVEL_AUDIO_MAX)]], ...]
    active: str | None


class RtcProducerAdded(Happening, frozen=True, tag="rtc:producer_added"):
    """A user's audio can be consumed."""

    producer_id: str
    user_id: str


class RtcProducerRemoved(Happening, frozen=True, tag="rtc:producer_removed"):
    """A user's audio ended."""

    producer_id: str


class RtcSlots(Happening, frozen=True, tag="rtc:slots"):
    """Who is heard in which slot of this connection."""

    slots: tuple[str | None, ...]


class RtcMoved(Happening, frozen=True, tag="rtc:moved"):
    """The room's audio moved to another worker: this client starts over with its transports."""


class RoomSnapshot(Happening, frozen=True, tag="room:snapshot"):
    """The room made a jump that events can not tell: here it is, whole, with what one is in it."""

    room_id: str
    snapshot: dict[str, Any]
    you: dict[str, Any]


LossyEvent = (
    RoomStats | AudioLevels | RtcProducerAdded | RtcProducerRemoved | RtcSlots | RtcMoved | RoomSnapshot
)


# --- To one user ----------------------------------------------------------------------------------------


class WalletUpdated(Happening, frozen=True, tag="wallet:updated"):
    """One's own balances are now these."""

    coins: int
    diamonds: int
    cause: str
    transaction_id: str | None


class SysTokenExpiring(Happening, frozen=True, tag="sys:token_expiring"):
    """Time to refresh the token."""

    in_ms: int


class SysKicked(Happening, frozen=True, tag="sys:kicked"):
    """This connection ends, and why."""

    reason: KickReason


class SysDraining(Happening, frozen=True, tag="sys:draining"):
    """This node is about to stop: connect again soon."""

    reconnect_in_ms: int


UserEvent = WalletUpdated | SysTokenExpiring | SysKicked | SysDraining


class Recorded(Struct, frozen=True):
    """An event at its place: the epoch and sequence number, the time, and the acting user."""

    epoch: str
    seq: int
    at: int
    by: str | None
    event: Event


# Fields that only the document needs, by event.
HIDDEN: Final[dict[type[Happening], tuple[str, ...]]] = {
    RoomUpdated: ("password_hash",),
    SeatChanged: ("cooldowns",),
    MicChanged: ("until",),
    MicUnmuteAsked: ("user_id",),
}


class Concerned(Struct, frozen=True):
    """Who may see an event: one user, and the admins if so said."""

    user_id: str | None
    admins: bool


_NOBODY: Final = Concerned(user_id=None, admins=False)


def concerned(event: Event) -> Concerned | None:
    """Whom an event is for, or None when it is for everybody in the room."""
    match event:
        case SeatRequested():
            return Concerned(event.request.user.user_id, admins=True)
        case SeatInvited():
            return Concerned(event.invite.user_id, admins=True)
        case SeatRequestResolved() | SeatInviteResolved():
            return Concerned(event.user_id, admins=True)
        case MicUnmuteAsked():
            return Concerned(event.user_id, admins=False)
        case ModUserUnbanned():
            return _NOBODY
        case _:
            return None


def name_of(event: Happening | type[Happening]) -> str:
    """The name on the wire."""
    return str(event.__struct_config__.tag)


def _by_name(union: Any) -> dict[str, type[Happening]]:
    return {name_of(kind): kind for kind in union.__args__}


EVENT_TYPES: Final = _by_name(Event)
LOSSY_EVENT_TYPES: Final = _by_name(LossyEvent)
USER_EVENT_TYPES: Final = _by_name(UserEvent)
