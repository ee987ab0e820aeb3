"""What users do. Each behaviour is a script over `User`; its name in the scenario is its function's name.

A paced behaviour acts at fixed times (arrival + n * every_seconds), whether or not the last action was
answered quickly: the load offered does not shrink when the server slows down.
"""

import itertools
from collections.abc import Callable, Iterator

from loadtests.clients.conversation import Fields
from loadtests.clients.rest import Request
from loadtests.traffic.steps import (
    NOTHING,
    Call,
    Connect,
    Drop,
    Leave,
    Outcome,
    Script,
    Send,
    Tell,
    User,
    Wait,
)
from loadtests.traffic.tour import every_command

SEAT_CODES = frozenset(
    {
        "SEAT_OCCUPIED",
        "SEAT_LOCKED",
        "SEAT_ALL_TAKEN",
        "SEAT_MODE_REQUEST",
        "SEAT_COOLDOWN",
        "ALREADY_SEATED",
        "NOT_SEATED",
    }
)
MIC_CODES = frozenset({"MIC_LOCKED_BY_ADMIN", "MIC_LOCKED_BY_SEAT", "NOT_SEATED"})
PEOPLE_CODES = frozenset({"TARGET_NOT_IN_ROOM", "FORBIDDEN_TARGET", "NOT_SEATED", "CANNOT_TARGET_SELF"})
QUEUE_CODES = frozenset({"REQUEST_EXISTS", "REQUEST_QUEUE_FULL", "REQUEST_NOT_FOUND", "INVITE_NOT_FOUND"})
# After these nobody knows whether the payment was made.
UNKNOWN_OUTCOMES = frozenset({"UNAVAILABLE", "TIMEOUT", "LOST"})
PAY_RETRIES, PAY_PAUSE_SECONDS = 4, 0.5
WORDS = ("hello", "everyone", "welcome", "nice", "song", "who", "sings", "next", "thank", "you", "roses")


def _pace(user: User, clock: float) -> Iterator[float]:
    if user.group.every_seconds <= 0:
        return iter(())
    first = user.first_due(clock)
    return (first + number * user.group.every_seconds for number in itertools.count())


def _sentence(user: User) -> str:
    return " ".join(user.random.choices(WORDS, k=user.random.randint(2, 9)))


def arrive(user: User) -> Script:
    """Connect and join; every behaviour of the room begins so."""
    outcome = yield Connect(due=user.arrives)
    if outcome.done:
        yield Call("room:join", due=user.arrives)


def listener(user: User) -> Script:
    """Is there and hears; asks for the time now and then when paced."""
    yield from arrive(user)
    for due in _pace(user, user.arrives):
        yield Wait(due)
        yield Call("sys:time", {"t0": int(due * 1000)}, due)
    yield Wait(user.leaves)


def talker(user: User) -> Script:
    """Writes a chat message every `every_seconds`."""
    yield from arrive(user)
    for due in _pace(user, user.arrives):
        yield Wait(due)
        yield Call("chat:send", {"text": _sentence(user)}, due)


def gifter(user: User) -> Script:
    """Sends the scenario's gift to the room's owner; `quantity` is a parameter."""
    yield from arrive(user)
    quantity = int(user.group.parameters.get("quantity", 1))
    for number, due in enumerate(_pace(user, user.arrives)):
        yield Wait(due)
        fields = {
            "gift_id": user.gift_id,
            "quantity": quantity,
            "recipients": [user.owner_id],
            "idempotency_key": f"{user.user_id}-{number}",
        }
        yield from pay(user, fields, due)


def pay(user: User, fields: Fields, due: float) -> Script:
    """A payment whose outcome is not known is asked for again with its key, as the contract says."""
    for retry in range(PAY_RETRIES + 1):
        reckoned = UNKNOWN_OUTCOMES if retry < PAY_RETRIES else NOTHING
        outcome = yield Call("gift:send", fields, due, reckoned=reckoned)
        if outcome.done:
            user.spent_coins += outcome.data["total_cost"]
        if outcome.code not in UNKNOWN_OUTCOMES:
            return
        yield Tell("payments_asked_again")
        yield Wait(due + PAY_PAUSE_SECONDS * (retry + 1))


def speaker(user: User) -> Script:
    """Takes a seat and keeps it; opens and closes the mic when paced; leaves the seat at the end."""
    yield from arrive(user)
    yield Call("seat:take", {"index": -1}, reckoned=SEAT_CODES)
    for number, due in enumerate(_pace(user, user.arrives)):
        yield Wait(due)
        outcome = yield Call("mic:set", {"muted": number % 2 == 0}, due, reckoned=MIC_CODES)
        if outcome.code == "NOT_SEATED":
            yield Call("seat:take", {"index": -1}, reckoned=SEAT_CODES)
    yield Wait(user.leaves)


def guest_on_stage(user: User) -> Script:
    """Asks for a seat, sits when let in, leaves again: the request queue's customer."""
    user.wanted = frozenset({"seat:invited"})
    yield from arrive(user)
    for number, due in enumerate(_pace(user, user.arrives)):
        yield Wait(due)
        while user.heard:
            _, body = user.heard.popleft()
            accept = {"invite_id": body["invite"]["invite_id"], "accept": True}
            yield Call("seat:respond_invite", accept, reckoned=QUEUE_CODES | SEAT_CODES)
        if number % 2 == 0:
            yield Call("seat:request", {"index": -1}, due, reckoned=QUEUE_CODES | SEAT_CODES)
        else:
            yield Call("seat:leave", {}, due, reckoned=SEAT_CODES)


def admin(user: User) -> Script:
    """Lets in who asked, mutes and locks and undoes it, invites: the moderator's hand."""
    user.wanted = frozenset({"seat:requested"})
    yield from arrive(user)
    reckoned = SEAT_CODES | PEOPLE_CODES | QUEUE_CODES
    for number, due in enumerate(_pace(user, user.arrives)):
        yield Wait(due)
        while user.heard:
            _, body = user.heard.popleft()
            answer = {"request_id": body["request"]["request_id"], "accept": user.random.random() < 0.8}
            yield Call("seat:respond_request", answer, reckoned=reckoned)
        for name, fields in _moderation(user, number):
            yield Call(name, fields, due, reckoned=reckoned)


def _moderation(user: User, number: int) -> list[tuple[str, Fields]]:
    """The number-th thing an admin does; what is done is undone in the next."""
    seat, speaker_id = 8 - (number // 8) % 4, user.others("speaker") or user.owner_id
    guest_id = user.others("guest_on_stage") or speaker_id
    silence: Fields = {"user_id": guest_id, "muted": True, "duration_s": 1}
    turns: list[list[tuple[str, Fields]]] = [
        [("seat:lock", {"index": seat, "locked": True, "evict": False})],
        [("seat:lock", {"index": seat, "locked": False})],
        [("mic:mute_user", {"user_id": speaker_id, "muted": True})],
        [("mic:mute_user", {"user_id": speaker_id, "muted": False})],
        [("seat:mute", {"index": "all", "muted": True}), ("seat:mute", {"index": "all", "muted": False})],
        [("seat:invite", {"user_id": guest_id, "index": seat})],
        [("room:update", {"announcement": f"tonight, part {number}"})],
        [("mod:mute_chat", silence), ("seat:list_requests", {})],
    ]
    return turns[number % len(turns)]


def flapper(user: User) -> Script:
    """Loses its connection every `every_seconds`, comes back after `offline_seconds`, misses nothing."""
    yield from arrive(user)
    offline = float(user.group.parameters.get("offline_seconds", 1.0))
    for due in itertools.islice(_pace(user, user.arrives), 1, None):
        yield Wait(due)
        yield Drop()
        yield Wait(due + offline)
        yield from come_back(user, due + offline)
    yield Wait(user.leaves)


def come_back(user: User, due: float) -> Script:
    outcome = yield Connect(due=due)
    while not outcome.done:
        due += 1.0
        yield Wait(due)
        outcome = yield Connect(due=due)
    recovered = bool(outcome.data["recovered"])
    yield Tell("recovered" if recovered else "not_recovered")
    if not recovered:
        position = {"epoch": user.epoch, "last_seq": user.seq} if user.epoch else {}
        yield Call("room:join", position)


def passer_by(user: User) -> Script:
    """Comes, listens for `every_seconds`, leaves, and comes again."""
    for due in itertools.chain([user.arrives], itertools.islice(_pace(user, user.arrives), 1, None)):
        yield Wait(due)
        outcome = yield Connect(due=due)
        if outcome.done:
            yield Call("room:join", {}, due)
            yield Wait(due + user.group.every_seconds * 0.8)
            yield Call("room:leave")
        yield Leave()


def tourist(user: User) -> Script:
    """Uses every command of the contract once."""
    yield from arrive(user)
    yield from every_command(user)


def caller(user: User) -> Script:
    """A backend: REST requests in a fixed mix, one every `every_seconds`."""
    for number, due in enumerate(_pace(user, user.arrives)):
        yield Wait(due)
        yield Send(_request(user, number), due)


def _request(user: User, number: int) -> Request:
    room, key = f"/v1/rooms/{user.room_id}", user.service_key
    token = Request("POST", f"{room}/tokens", {"user_id": user.user_id}, key, name="POST tokens")
    return (
        token,
        Request("GET", f"{room}/snapshot", bearer=key, name="GET snapshot"),
        Request("POST", "/v1/tokens/validate", {"token": user.token}, key, name="POST validate"),
        Request("GET", f"/v1/users/{user.user_id}/wallet", bearer=key, name="GET wallet"),
        Request("GET", "/v1/gifts", bearer=key, name="GET gifts"),
        token,
        Request("GET", f"/v1/rooms/{user.room_id}", bearer=key, name="GET room"),
        Request("GET", "/v1/boards/senders?period=day", bearer=key, name="GET board"),
        Request(
            "POST",
            f"{room}/gifts",
            {
                "gift_id": user.gift_id,
                "quantity": 1,
                "recipients": [user.owner_id],
                "sender_id": user.user_id,
            },
            key,
            idempotency_key=f"rest-{user.user_id}-{number}",
            name="POST gifts",
        ),
        Request("GET", f"/v1/users/{user.user_id}/transactions", bearer=key, name="GET transactions"),
    )[number % 10]


BEHAVIOURS: dict[str, Callable[[User], Script]] = {
    behaviour.__name__: behaviour
    for behaviour in (
        listener,
        talker,
        gifter,
        speaker,
        guest_on_stage,
        admin,
        flapper,
        passer_by,
        tourist,
        caller,
    )
}
# Who needs coins before the start.
SPENDERS = frozenset({"gifter", "caller"})


def script_of(user: User) -> Script:
    return BEHAVIOURS[user.group.behaviour](user)


__all__ = ["BEHAVIOURS", "SPENDERS", "Outcome", "come_back", "script_of"]
