"""One user, every command of the contract once: a smoke of the whole surface, and the proof that the load
clients can say everything there is to say.

Refusals of the domain are answers (an admin cannot transfer the room); being misunderstood is not, so a
malformed payload or a failure of the server stays an error.
"""

from collections.abc import Iterator
from typing import Any

from loadtests.clients.conversation import Fields
from loadtests.traffic.steps import Call, Script, User
from state.rejections import Code

FAULTS = frozenset(
    {Code.PAYLOAD_INVALID, Code.INTERNAL, Code.UNAVAILABLE, Code.RATE_LIMITED, Code.TOKEN_INVALID}
)
ANSWERS = frozenset(str(code) for code in Code if code not in FAULTS)
NOBODY = "nobody"
OFFER = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=recvonly\r\na=rtcp-mux\r\n"
    "a=ice-ufrag:tour\r\na=ice-pwd:tourtourtourtourtourtour\r\na=setup:active\r\n"
    f"a=fingerprint:sha-256 {':'.join(['AB'] * 32)}\r\na=rtpmap:111 opus/48000/2\r\n"
)
FINGERPRINT = {"algorithm": "sha-256", "value": ":".join(["AB"] * 32)}
OPUS: Fields = {
    "mimeType": "audio/opus",
    "payloadType": 111,
    "clockRate": 48000,
    "channels": 2,
    "parameters": {},
}
CAPABILITIES: Fields = {
    "codecs": [
        {
            "kind": "audio",
            "mimeType": "audio/opus",
            "clockRate": 48000,
            "channels": 2,
            "preferredPayloadType": 111,
        }
    ],
    "headerExtensions": [],
}


def _room(user: User) -> Iterator[tuple[str, Fields]]:
    yield "sys:time", {"t0": 1}
    yield "sys:refresh_token", {"token": user.token}
    yield "room:sync", {"epoch": user.epoch or "none", "last_seq": user.seq or 0}
    yield "room:members", {"limit": 10}
    yield "room:update", {"theme": "stars", "announcement": "a tour", "slow_mode_ms": 0}
    yield "room:transfer", {"user_id": NOBODY}
    yield "room:close", {"reason": "tour"}


def _people() -> Iterator[tuple[str, Fields]]:
    yield "seat:kick", {"user_id": NOBODY, "cooldown_s": 1}
    yield "seat:move_user", {"user_id": NOBODY, "index": 5, "policy": "swap"}
    yield "mic:mute_user", {"user_id": NOBODY, "muted": True, "duration_s": 1}
    yield "mic:ask_unmute", {"user_id": NOBODY}
    yield "mod:set_role", {"user_id": NOBODY, "role": "member"}
    yield "mod:kick", {"user_id": NOBODY, "reason": "tour"}
    yield "mod:ban", {"user_id": NOBODY, "duration_s": 1, "reason": "tour"}
    yield "mod:unban", {"user_id": NOBODY}
    yield "mod:list_bans", {}
    yield "mod:mute_chat", {"user_id": NOBODY, "muted": True, "duration_s": 1}
    yield "mod:report", {"user_id": NOBODY, "reason": "a tour"}


def _money(user: User) -> Iterator[tuple[str, Fields]]:
    yield "gift:catalog", {}
    send = {"gift_id": user.gift_id, "quantity": 1, "recipients": [user.owner_id]}
    yield "gift:send", {**send, "idempotency_key": f"tour-{user.user_id}"}
    yield "wallet:get", {}
    yield "rank:get", {"board": "senders", "period": "day", "limit": 5}


def _media() -> Iterator[tuple[str, Fields]]:
    yield "rtc:capabilities", {}
    yield "rtc:create_transport", {"direction": "recv"}
    yield "rtc:connect_transport", {"transport_id": NOBODY, "dtlsParameters": {"fingerprints": [FINGERPRINT]}}
    parameters = {"codecs": [OPUS], "encodings": [{"ssrc": 1}]}
    yield "rtc:produce", {"transport_id": NOBODY, "kind": "audio", "rtpParameters": parameters}
    yield "rtc:producers", {}
    yield "rtc:consume", {"transport_id": NOBODY, "producer_id": NOBODY, "rtpCapabilities": CAPABILITIES}
    for name in ("resume_consumer", "pause_consumer", "close_consumer"):
        yield f"rtc:{name}", {"consumer_id": NOBODY}
    yield "rtc:close_producer", {"producer_id": NOBODY}
    yield "rtc:restart_ice", {"transport_id": NOBODY}
    yield "rtc:stats", {}
    yield "rtc:offer", {"sdp": OFFER}
    yield "rtc:forward", {"user_id": NOBODY, "port": 40_000}
    yield "rtc:stop_forward", {"forward_id": NOBODY}


def _call(name: str, fields: Any) -> Call:
    return Call(name, fields, reckoned=ANSWERS)


def _seats(user: User) -> Script:
    yield _call("seat:take", {"index": -1})
    yield _call("mic:set", {"muted": True})
    yield _call("seat:move", {"index": 6})
    yield _call("seat:leave", {})
    asked = yield _call("seat:request", {"index": -1, "note": "may I"})
    request_id = asked.data["request_id"] if asked.done else NOBODY
    yield _call("seat:list_requests", {})
    yield _call("seat:respond_request", {"request_id": request_id, "accept": False})
    yield _call("seat:cancel_request", {"request_id": request_id})
    invited = yield _call("seat:invite", {"user_id": user.others("listener") or NOBODY, "index": 7})
    invite_id = invited.data["invite_id"] if invited.done else NOBODY
    yield _call("seat:respond_invite", {"invite_id": invite_id, "accept": False})
    yield _call("seat:cancel_invite", {"invite_id": invite_id})
    yield _call("seat:lock", {"index": 8, "locked": True, "evict": False})
    yield _call("seat:lock", {"index": 8, "locked": False})
    yield _call("seat:mute", {"index": 8, "muted": False})


def _chat() -> Script:
    said = yield _call("chat:send", {"text": "a tour", "kind": "text", "mentions": [NOBODY]})
    message_id = said.data["message_id"] if said.done else NOBODY
    yield _call("chat:history", {"limit": 5})
    yield _call("chat:delete", {"message_id": message_id})


def every_command(user: User) -> Script:
    """After arriving: everything once, `room:leave` last."""
    yield from _seats(user)
    yield from _chat()
    for name, fields in (*_room(user), *_people(), *_money(user), *_media()):
        yield _call(name, fields)
    yield _call("room:leave", {})
