"""Everything that may be asked, one frozen struct per command.

The tag is the name on the wire. A message shape has this one place: strict decoding, the AsyncAPI document,
the TypeScript types and the load tests are derived from it. Commands of the second half (`internal:*`) are
issued by the server to itself, by its clock, its audience and its gift relay; no client can send one.
"""

from typing import Annotated, Final, Literal

from msgspec import Meta

from state import limits
from state.fields import Base as Base
from state.fields import (
    Board,
    Capacity,
    ChatMode,
    DurationS,
    GuestPolicy,
    Index,
    MessageKind,
    Password,
    Period,
    Privacy,
    Quantity,
    Reason,
    Recipients,
    SeatCount,
    SeatMode,
    Sequence,
    SlowModeMs,
    Token,
    Url,
)
from state.fields import Departure as Departure
from state.fields import GiftShown as GiftShown
from state.identity import Profile
from state.ids import Identifier
from state.media_commands import RtcCapabilities as RtcCapabilities
from state.media_commands import RtcCloseConsumer as RtcCloseConsumer
from state.media_commands import RtcCloseProducer as RtcCloseProducer
from state.media_commands import RtcCommand as RtcCommand
from state.media_commands import RtcConnectTransport as RtcConnectTransport
from state.media_commands import RtcConsume as RtcConsume
from state.media_commands import RtcCreateTransport as RtcCreateTransport
from state.media_commands import RtcForward as RtcForward
from state.media_commands import RtcOffer as RtcOffer
from state.media_commands import RtcPauseConsumer as RtcPauseConsumer
from state.media_commands import RtcProduce as RtcProduce
from state.media_commands import RtcProducers as RtcProducers
from state.media_commands import RtcRestartIce as RtcRestartIce
from state.media_commands import RtcResumeConsumer as RtcResumeConsumer
from state.media_commands import RtcStats as RtcStats
from state.media_commands import RtcStopForward as RtcStopForward

# --- The connection --------------------------------------------------------------------------------------


class SysTime(Base, frozen=True, tag="sys:time"):
    """Asks for the server's clock, to find the offset of one's own."""

    t0: float


class SysRefreshToken(Base, frozen=True, tag="sys:refresh_token"):
    """Hands in a newer token before the present one ends."""

    token: Token


# --- The room -------------------------------------------------------------------------------------------


class RoomJoin(Base, frozen=True, tag="room:join"):
    """Enters the room, or comes back to it at a known position."""

    token: Token | None = None
    password: Password | None = None
    epoch: Identifier | None = None
    last_seq: Sequence | None = None


class RoomLeave(Base, frozen=True, tag="room:leave"):
    """Leaves the room and the seat."""


class RoomSync(Base, frozen=True, tag="room:sync"):
    """Asks for what was missed."""

    epoch: Identifier
    last_seq: Sequence


class RoomUpdate(Base, frozen=True, tag="room:update"):
    """Changes settings; absent fields stay as they are. An empty password removes it."""

    name: Annotated[str, Meta(min_length=1, max_length=limits.NAME_LENGTH_MAX)] | None = None
    theme: Annotated[str, Meta(max_length=limits.THEME_LENGTH_MAX)] | None = None
    background_url: Url | None = None
    announcement: Annotated[str, Meta(max_length=limits.ANNOUNCEMENT_LENGTH_MAX)] | None = None
    privacy: Privacy | None = None
    password: Password | None = None
    capacity: Capacity | None = None
    seat_count: SeatCount | None = None
    seat_mode: SeatMode | None = None
    chat_mode: ChatMode | None = None
    slow_mode_ms: SlowModeMs | None = None
    guest_policy: GuestPolicy | None = None


class RoomClose(Base, frozen=True, tag="room:close"):
    """Closes the room for good."""

    reason: Reason = ""


class RoomTransfer(Base, frozen=True, tag="room:transfer"):
    """Makes another user the owner."""

    user_id: Identifier


class RoomMembers(Base, frozen=True, tag="room:members"):
    """Lists who is in the room."""

    cursor: Annotated[str, Meta(max_length=256)] | None = None
    limit: Annotated[int, Meta(ge=1, le=limits.MEMBERS_PAGE_MAX)] = limits.MEMBERS_PAGE_MAX


# --- Seats ----------------------------------------------------------------------------------------------


class SeatTake(Base, frozen=True, tag="seat:take"):
    """Sits down; -1 is the lowest free seat."""

    index: Index


class SeatLeave(Base, frozen=True, tag="seat:leave"):
    """Stands up."""


class SeatMove(Base, frozen=True, tag="seat:move"):
    """Changes to another free seat."""

    index: Index


class SeatRequest(Base, frozen=True, tag="seat:request"):
    """Asks the admins for a seat."""

    index: Index = -1
    note: Annotated[str, Meta(max_length=limits.NOTE_LENGTH_MAX)] = ""


class SeatCancelRequest(Base, frozen=True, tag="seat:cancel_request"):
    """Takes back one's own request."""

    request_id: Identifier


class SeatRespondRequest(Base, frozen=True, tag="seat:respond_request"):
    """Accepts or rejects a request."""

    request_id: Identifier
    accept: bool
    index: Index | None = None


class SeatListRequests(Base, frozen=True, tag="seat:list_requests"):
    """Lists who waits for a seat."""


class SeatInvite(Base, frozen=True, tag="seat:invite"):
    """Offers a seat to a listener and holds it meanwhile."""

    user_id: Identifier
    index: Index
    timeout_ms: Annotated[int, Meta(ge=limits.INVITE_TIMEOUT_MS_MIN, le=limits.INVITE_TIMEOUT_MS_MAX)] = (
        limits.INVITE_TIMEOUT_MS_DEFAULT
    )


class SeatCancelInvite(Base, frozen=True, tag="seat:cancel_invite"):
    """Withdraws an invite."""

    invite_id: Identifier


class SeatRespondInvite(Base, frozen=True, tag="seat:respond_invite"):
    """Accepts or rejects an invite to oneself."""

    invite_id: Identifier
    accept: bool


class SeatKick(Base, frozen=True, tag="seat:kick"):
    """Takes a user off the seat, optionally barring seats for a while."""

    user_id: Identifier
    cooldown_s: Annotated[int, Meta(ge=0, le=limits.COOLDOWN_S_MAX)] = 0


class SeatMoveUser(Base, frozen=True, tag="seat:move_user"):
    """Moves a seated user; the policy says what happens when the seat is taken."""

    user_id: Identifier
    index: Index
    policy: Literal["abort", "replace", "swap"] = "abort"


class SeatLock(Base, frozen=True, tag="seat:lock"):
    """Locks or unlocks one seat, or all empty ones."""

    index: Index | Literal["all"]
    locked: bool
    evict: bool = True


class SeatMute(Base, frozen=True, tag="seat:mute"):
    """Mutes or unmutes one seat, or all but the caller's."""

    index: Index | Literal["all"]
    muted: bool


# --- Mics -----------------------------------------------------------------------------------------------


class MicSet(Base, frozen=True, tag="mic:set"):
    """Mutes or opens one's own mic."""

    muted: bool


class MicMuteUser(Base, frozen=True, tag="mic:mute_user"):
    """Mutes a user wherever it sits, or lifts that."""

    user_id: Identifier
    muted: bool
    duration_s: DurationS | None = None


class MicAskUnmute(Base, frozen=True, tag="mic:ask_unmute"):
    """Asks a user to open the mic; nobody else can open it."""

    user_id: Identifier


# --- Chat -----------------------------------------------------------------------------------------------


class ChatSend(Base, frozen=True, tag="chat:send"):
    """Says something in the room's chat."""

    text: Annotated[str, Meta(min_length=1, max_length=limits.TEXT_LENGTH_MAX)]
    kind: MessageKind = "text"
    reply_to: Identifier | None = None
    mentions: Annotated[list[Identifier], Meta(max_length=limits.MENTIONS_MAX)] | None = None


class ChatDelete(Base, frozen=True, tag="chat:delete"):
    """Removes a message: one's own, or as an admin one of a lower role."""

    message_id: Identifier


class ChatHistory(Base, frozen=True, tag="chat:history"):
    """Reads older messages, newest first page by page."""

    before_seq: Sequence | None = None
    limit: Annotated[int, Meta(ge=1, le=limits.CHAT_PAGE_MAX)] = limits.CHAT_SNAPSHOT


# --- Moderation -----------------------------------------------------------------------------------------


class ModSetRole(Base, frozen=True, tag="mod:set_role"):
    """Appoints or dismisses an admin."""

    user_id: Identifier
    role: Literal["admin", "member"]


class ModKick(Base, frozen=True, tag="mod:kick"):
    """Puts a user out; it may come back."""

    user_id: Identifier
    reason: Reason = ""


class ModBan(Base, frozen=True, tag="mod:ban"):
    """Puts a user out and keeps it out, for a time or for good."""

    user_id: Identifier
    duration_s: DurationS | None = None
    reason: Reason = ""


class ModUnban(Base, frozen=True, tag="mod:unban"):
    """Lifts a ban."""

    user_id: Identifier


class ModListBans(Base, frozen=True, tag="mod:list_bans"):
    """Lists who is banned."""

    cursor: Annotated[str, Meta(max_length=256)] | None = None


class ModMuteChat(Base, frozen=True, tag="mod:mute_chat"):
    """Forbids a user to write, or allows it again."""

    user_id: Identifier
    muted: bool
    duration_s: DurationS | None = None


class ModReport(Base, frozen=True, tag="mod:report"):
    """Reports a user or a message to the operators."""

    reason: Annotated[str, Meta(min_length=1, max_length=limits.REASON_REPORT_LENGTH_MAX)]
    user_id: Identifier | None = None
    message_id: Identifier | None = None


# --- Gifts, wallets, boards (answered by the money service) ---------------------------------------------


class GiftCatalog(Base, frozen=True, tag="gift:catalog"):
    """Asks which gifts there are; an equal etag saves the list."""

    etag: Annotated[str, Meta(max_length=128)] | None = None


class GiftSend(Base, frozen=True, tag="gift:send"):
    """Buys a gift for users of the room: named ones, or all who are seated."""

    gift_id: Identifier
    quantity: Quantity
    idempotency_key: Annotated[str, Meta(min_length=1, max_length=128)]
    recipients: Recipients | None = None
    scope: Literal["seated"] | None = None


class WalletGet(Base, frozen=True, tag="wallet:get"):
    """Asks for one's own balances."""


class RankGet(Base, frozen=True, tag="rank:get"):
    """Reads a board."""

    board: Board
    period: Period
    limit: Annotated[int, Meta(ge=1, le=100)] = 20


Command = (
    SysTime
    | SysRefreshToken
    | RoomJoin
    | RoomLeave
    | RoomSync
    | RoomUpdate
    | RoomClose
    | RoomTransfer
    | RoomMembers
    | SeatTake
    | SeatLeave
    | SeatMove
    | SeatRequest
    | SeatCancelRequest
    | SeatRespondRequest
    | SeatListRequests
    | SeatInvite
    | SeatCancelInvite
    | SeatRespondInvite
    | SeatKick
    | SeatMoveUser
    | SeatLock
    | SeatMute
    | MicSet
    | MicMuteUser
    | MicAskUnmute
    | ChatSend
    | ChatDelete
    | ChatHistory
    | ModSetRole
    | ModKick
    | ModBan
    | ModUnban
    | ModListBans
    | ModMuteChat
    | ModReport
    | GiftCatalog
    | GiftSend
    | WalletGet
    | RankGet
    | RtcCommand
)


# --- What the server asks of itself ---------------------------------------------------------------------


class ExpireDue(Base, frozen=True, tag="internal:expire_due"):
    """Makes true what time has done: requests, invites, grace, mutes and combos that ended."""


class MarkAway(Base, frozen=True, tag="internal:mark_away"):
    """The user's last connection dropped: its seat waits in silence."""

    user_id: str


class MarkBack(Base, frozen=True, tag="internal:mark_back"):
    """The user returned in time."""

    user_id: str


class ReleaseUser(Base, frozen=True, tag="internal:release_user"):
    """The user left: its seat, requests and invites end."""

    user_id: str


class AnnounceMembers(Base, frozen=True, tag="internal:announce_members"):
    """Tells the room who came and went since the last announcement."""

    joined: list[Profile]
    left: list[Departure]


class AnnounceGift(Base, frozen=True, tag="internal:announce_gift"):
    """Tells the room of a committed gift; its transaction id is the command id."""

    transaction_id: str
    sender: Profile
    gift: GiftShown
    quantity: int
    recipients: list[str]
    total_cost: int
    combo_window_ms: int | None = None
    # When the gift was committed: one announced late is counted, but its animation is over.
    committed_at: int | None = None


class CorrectOnline(Base, frozen=True, tag="internal:correct_online"):
    """A node died between a join and its announcement: the count is brought back to the truth."""

    online: int


InternalCommand = (
    ExpireDue | MarkAway | MarkBack | ReleaseUser | AnnounceMembers | AnnounceGift | CorrectOnline
)
AnyCommand = Command | InternalCommand

COMMAND_TYPES: Final[dict[str, type[Base]]] = {
    str(kind.__struct_config__.tag): kind for kind in Command.__args__
}


def name_of(command: Base | type[Base]) -> str:
    """The name on the wire."""
    return str(command.__struct_config__.tag)
