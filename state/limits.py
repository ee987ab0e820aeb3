"""Every bound of the room domain, each with its reason.

Schema bounds and the documentation are derived from here.
"""

from typing import Final

# --- Identities -----------------------------------------------------------------------------------------
ID_LENGTH_MAX: Final = 64  # fits a key, a URL segment and a log column
NAME_LENGTH_MAX: Final = 100  # a display name on one line, also in scripts with long words
URL_LENGTH_MAX: Final = 2_048  # what browsers and CDNs agree on
TOKEN_LENGTH_MAX: Final = 8_192  # below every proxy's header limit
LEVEL_MAX: Final = 1_000_000  # levels are shown, never computed with

# --- Room ------------------------------------------------------------------------------------------------
SEATS_MAX: Final = 30  # more do not fit a phone screen; also bounds the document
SEATS_DEFAULT: Final = 9
CAPACITY_MAX: Final = 100_000  # listeners of one room that fan-out was sized for
CAPACITY_DEFAULT: Final = 5_000
ANNOUNCEMENT_LENGTH_MAX: Final = 2_000
THEME_LENGTH_MAX: Final = 64
PASSWORD_LENGTH_MAX: Final = 64
REASON_LENGTH_MAX: Final = 500
NOTE_LENGTH_MAX: Final = 200
SLOW_MODE_MS_MAX: Final = 3_600_000
ROLES_MAX: Final = 500  # appointed admins and members; keeps the document small
BANS_MAX: Final = 1_000  # bans live in the document, which is rewritten by every commit
MUTES_MAX: Final = 500  # likewise
SPOKEN_MAX: Final = 512  # slow-mode memory; the oldest is forgotten first

# --- Requests and invites ---------------------------------------------------------------------------------
REQUESTS_MAX: Final = 20  # a queue that a host can read
REQUEST_TTL_MS: Final = 60_000
INVITES_MAX: Final = SEATS_MAX  # an invite holds a seat
INVITE_TIMEOUT_MS_MIN: Final = 1_000
INVITE_TIMEOUT_MS_DEFAULT: Final = 60_000
INVITE_TIMEOUT_MS_MAX: Final = 600_000
COOLDOWN_S_MAX: Final = 86_400
DURATION_S_MAX: Final = 10 * 365 * 86_400  # longer is "for good", which has its own form

# --- Presence ---------------------------------------------------------------------------------------------
AWAY_GRACE_MS_DEFAULT: Final = 30_000  # a tunnel or a lift, not a walk home
IDLE_CLOSE_MS_DEFAULT: Final = 3_600_000
MEMBERS_PAGE_MAX: Final = 100
MEMBER_BATCH_FROM: Final = 200  # from this size joins and leaves are announced together
MEMBER_BATCH_MS: Final = 1_000
CONNECTIONS_PER_USER_MAX: Final = 10  # phones, tablets and a console; more is a leak

# --- Chat -------------------------------------------------------------------------------------------------
TEXT_LENGTH_MAX: Final = 2_000
MENTIONS_MAX: Final = 20
CHAT_SNAPSHOT: Final = 50
CHAT_PAGE_MAX: Final = 100
CHAT_KEPT: Final = 500  # messages of a room that can still be read back
REASON_REPORT_LENGTH_MAX: Final = 1_000

# --- Gifts ------------------------------------------------------------------------------------------------
QUANTITY_MAX: Final = 9_999
RECIPIENTS_MAX: Final = SEATS_MAX  # everybody on a seat, the widest scope there is
COMBO_WINDOW_MS_DEFAULT: Final = 3_000
COMBO_WINDOW_MS_MAX: Final = 60_000
COMBOS_MAX: Final = 200  # running at once in one room; beyond it gifts are announced without a combo
PLAY_LEAD_MS: Final = 250  # an animation starts at the same moment for all who got the event in time
MONEY_MAX: Final = 2**63 - 1

# --- Commands and streams ---------------------------------------------------------------------------------
COMMAND_MEMORY_MS: Final = 120_000  # a repeat of a command id within this gets the first answer
BATCH_MAX: Final = 64  # commands in one commit; measured knee of throughput against latency
MAILBOX_MAX: Final = 2_048  # commands waiting in one room at one node; beyond it the answer is UNAVAILABLE
ATTEMPTS_MAX: Final = 24  # tries of one commit; contention costs about one per writing node
COMMIT_DEADLINE_S: Final = 0.8  # a command is answered within a second, whatever happens to the server
STREAM_KEPT: Final = 4_000  # commits of a room: two minutes of a busy one, for those who come back
STREAM_KEPT_MS: Final = 600_000  # a room where nothing happens needs no history to catch up on
RESUME_EVENTS_MAX: Final = 5_000  # beyond this a client is better off with a snapshot
DOCUMENT_BYTES_MAX: Final = 1_048_576  # a room document can not grow past its parts; a bound for the store

# --- Audio ------------------------------------------------------------------------------------------------
SDP_LENGTH_MAX: Final = 65_536
RTC_DEPTH_BYTES_MAX: Final = 65_536  # encoded size of the free-form parameters of a media command
SLOTS_MAX: Final = 32
LEVEL_AUDIO_MAX: Final = 127
