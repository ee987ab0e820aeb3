"""Presence, moderation, settings, chat and gifts."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from state import commands as c
from state import events as e
from state import limits
from state.identity import SYSTEM, Actor, Profile, Role
from state.passwords import hash_password
from state.rejections import Code, Rejection
from state.room import Message, seat_of, you
from state.transitions import PERMISSIONS, Facts, admit, decide, next_deadline, permissions_of
from tests.state.stage import ADMIN, ANN, BEN, GUEST, OWNER, Stage, actor, new_room


def _names(events: tuple[e.Event, ...]) -> list[str]:
    return [e.name_of(event) for event in events]


# --- Presence --------------------------------------------------------------------------------------------


def test_a_dropped_user_keeps_its_seat_in_silence_and_comes_back_with_its_mutes() -> None:
    stage = Stage()
    stage.done(ANN, c.SeatTake(index=1))
    stage.done(ADMIN, c.MicMuteUser(user_id="ann", muted=True))
    (event,) = stage.done(SYSTEM, c.MarkAway(user_id="ann"))
    assert isinstance(event, e.SeatChanged)
    assert event.seats[0].away
    assert event.seats[0].mic == e.Mic(self_muted=False, admin_muted=True, can_publish=False)
    assert stage.wait(limits.AWAY_GRACE_MS_DEFAULT - 1) == ()
    (event,) = stage.done(SYSTEM, c.MarkBack(user_id="ann"))
    assert isinstance(event, e.SeatChanged)
    assert event.seats[0].mic == e.Mic(self_muted=False, admin_muted=True, can_publish=False)
    assert stage.wait(limits.AWAY_GRACE_MS_DEFAULT) == ()


def test_the_seat_is_free_after_the_grace() -> None:
    stage = Stage()
    stage.done(ANN, c.SeatTake(index=1))
    stage.done(SYSTEM, c.MarkAway(user_id="ann"))
    (event,) = stage.wait(limits.AWAY_GRACE_MS_DEFAULT)
    assert isinstance(event, e.SeatChanged)
    assert event.cause == "timeout"
    assert stage.sits(1) is None


def test_leaving_ends_everything_of_the_user() -> None:
    stage = Stage()
    stage.done(ANN, c.SeatTake(index=1))
    stage.done(BEN, c.SeatRequest())
    stage.done(ADMIN, c.SeatInvite(user_id="cat", index=3))
    for user_id in ("ann", "ben", "cat"):
        assert stage.done(SYSTEM, c.ReleaseUser(user_id=user_id))
    assert stage.room.requests == ()
    assert stage.room.invites == ()
    assert seat_of(stage.room, "ann") is None


def test_small_rooms_hear_of_each_user_and_big_ones_of_many_at_once() -> None:
    stage = Stage()
    people = [Profile(f"u{n}") for n in range(limits.MEMBER_BATCH_FROM)]
    events = stage.done(SYSTEM, c.AnnounceMembers(joined=people[:3], left=[]))
    assert _names(events) == ["member:joined"] * 3
    events = stage.done(SYSTEM, c.AnnounceMembers(joined=people[3:], left=[c.Departure("u0")]))
    assert _names(events) == ["member:joined"] * 197 + ["member:left"]
    (event,) = stage.done(SYSTEM, c.AnnounceMembers(joined=[Profile("x"), Profile("y")], left=[]))
    assert isinstance(event, e.MemberBatch)
    assert event.online == stage.room.online == 201


def test_an_empty_room_closes_after_a_while() -> None:
    stage = Stage()
    stage.done(SYSTEM, c.AnnounceMembers(joined=[Profile("ann")], left=[]))
    stage.done(SYSTEM, c.AnnounceMembers(joined=[], left=[c.Departure("ann")]))
    assert next_deadline(stage.room) == stage.now + limits.IDLE_CLOSE_MS_DEFAULT
    assert _names(stage.wait(limits.IDLE_CLOSE_MS_DEFAULT)) == ["room:closed"]
    assert stage.refused(OWNER, c.RoomUpdate(name="x")) is Code.ROOM_CLOSED
    assert next_deadline(stage.room) is None


# --- Moderation and the house ----------------------------------------------------------------------------


def test_a_ban_puts_out_and_keeps_out() -> None:
    stage = Stage()
    stage.done(ANN, c.SeatTake(index=1))
    events = stage.done(ADMIN, c.ModBan(user_id="ann", duration_s=60, reason="spam"))
    assert _names(events) == ["seat:changed", "mod:user_banned"]
    refused = admit(stage.room, ANN, None, stage.now)
    assert refused is not None
    assert refused.code is Code.BANNED
    assert refused.retry_after_ms == 60_000
    (listed,) = stage.reply(ADMIN, c.ModListBans())["bans"]
    assert listed["user_id"] == "ann"
    assert admit(stage.room, ANN, None, stage.now + 60_000) is None
    stage.done(ADMIN, c.ModUnban(user_id="ann"))
    assert admit(stage.room, ANN, None, stage.now) is None


def test_the_owner_is_out_of_reach_and_equals_do_not_act_on_each_other() -> None:
    stage = Stage()
    stage.present["boss"] = actor("boss", "admin")
    for command in (c.ModKick(user_id="owner"), c.ModBan(user_id="owner"), c.ModKick(user_id="boss")):
        assert stage.refused(ADMIN, command) is Code.FORBIDDEN_TARGET
    assert stage.done(OWNER, c.ModKick(user_id="boss"))


def test_an_appointed_admin_is_one_whatever_its_token_says() -> None:
    stage = Stage()
    stage.done(ANN, c.SeatTake(index=1))
    events = stage.done(OWNER, c.ModSetRole(user_id="ann", role="admin"))
    assert _names(events) == ["mod:role_changed", "seat:changed"]
    assert stage.done(ANN, c.ModKick(user_id="ben"))
    stage.done(OWNER, c.ModSetRole(user_id="ann", role="member"))
    assert stage.refused(ANN, c.ModKick(user_id="ben")) is Code.FORBIDDEN


def test_a_transfer_makes_the_former_owner_an_admin() -> None:
    stage = Stage()
    stage.done(OWNER, c.RoomTransfer(user_id="ann"))
    assert stage.room.owner_id == "ann"
    assert stage.refused(OWNER, c.RoomClose()) is Code.FORBIDDEN
    assert stage.refused(OWNER, c.ModKick(user_id="ann")) is Code.FORBIDDEN_TARGET
    assert stage.done(ANN, c.ModKick(user_id="owner"))


def test_permissions_of_a_token_only_narrow() -> None:
    stage = Stage()
    narrow = Actor("admin", "admin", permissions=frozenset({"mod:kick", "room:close"}))
    assert permissions_of(stage.room, narrow) == {"mod:kick"}
    assert stage.refused(narrow, c.RoomClose()) is Code.FORBIDDEN
    assert stage.refused(narrow, c.ModBan(user_id="ann")) is Code.FORBIDDEN
    assert stage.done(narrow, c.ModKick(user_id="ann"))
    assert you(stage.room, narrow, permissions_of(stage.room, narrow))["permissions"] == ["mod:kick"]


@pytest.mark.parametrize("role", ["guest", "member", "admin"])
def test_every_role_has_what_the_lower_one_has(role: Role) -> None:
    order: list[Role] = ["guest", "member", "admin", "owner"]
    assert PERMISSIONS[role] < PERMISSIONS[order[order.index(role) + 1]]


def test_the_password_is_asked_of_members_only() -> None:
    stage = Stage()
    stage.done(OWNER, c.RoomUpdate(password="secret"))
    assert stage.room.settings.has_password
    assert stage.room.password_hash == "hash of secret"
    stage.done(OWNER, c.RoomUpdate(password=""))
    assert admit(stage.room, ANN, None, stage.now) is None
    hashed = replace(stage.room, password_hash=hash_password("secret", b"salt"))
    for password, code in ((None, Code.PASSWORD_REQUIRED), ("x", Code.PASSWORD_WRONG)):
        refused = admit(hashed, ANN, password, stage.now)
        assert refused is not None
        assert refused.code is code
    assert admit(hashed, ANN, "secret", stage.now) is None
    assert admit(hashed, OWNER, None, stage.now) is None


def test_fewer_seats_put_their_sitters_off() -> None:
    stage = Stage()
    stage.done(ANN, c.SeatTake(index=8))
    stage.done(BEN, c.SeatRequest(index=7))
    events = stage.done(ADMIN, c.RoomUpdate(seat_count=4))
    assert _names(events) == ["seat:request_resolved", "seat:changed", "room:updated"]
    assert len(stage.room.seats) == 4
    stage.done(ADMIN, c.RoomUpdate(seat_count=6))
    assert [seat.index for seat in stage.room.seats] == list(range(6))


def test_guests_listen_unless_they_may_chat() -> None:
    stage = Stage()
    assert stage.refused(GUEST, c.SeatTake(index=1)) is Code.FORBIDDEN
    assert stage.refused(GUEST, c.ChatSend(text="hi")) is Code.CHAT_DISABLED
    stage.done(OWNER, c.RoomUpdate(guest_policy="chat"))
    assert stage.done(GUEST, c.ChatSend(text="hi"))
    stage.done(OWNER, c.RoomUpdate(guest_policy="deny"))
    refused = admit(stage.room, GUEST, None, stage.now)
    assert refused is not None
    assert refused.code is Code.FORBIDDEN


# --- Chat and gifts --------------------------------------------------------------------------------------


def test_chat_modes() -> None:
    stage = Stage()
    stage.done(ANN, c.SeatTake(index=1))
    for mode, allowed in (
        ("all", {ANN, BEN, ADMIN}),
        ("seated", {ANN, ADMIN}),
        ("admins", {ADMIN}),
        ("off", set()),
    ):
        stage.done(OWNER, c.RoomUpdate(chat_mode=mode))  # type: ignore[arg-type]
        for who in (ANN, BEN, ADMIN):
            outcome = stage.do(who, c.ChatSend(text="hi"))
            assert isinstance(outcome, Rejection) is (who not in allowed)


def test_slow_mode_and_mutes_of_chat() -> None:
    stage = Stage(new_room(slow_mode_ms=1_000))
    stage.done(ANN, c.ChatSend(text="one"))
    stage.now += 400
    refused = stage.do(ANN, c.ChatSend(text="two"))
    assert refused == Rejection(Code.CHAT_TOO_FAST, retry_after_ms=600)
    stage.done(ADMIN, c.ChatSend(text="a"))
    stage.done(ADMIN, c.ChatSend(text="b"))
    stage.done(ADMIN, c.ModMuteChat(user_id="ann", muted=True, duration_s=10))
    assert stage.refused(ANN, c.ChatSend(text="two")) is Code.CHAT_MUTED
    stage.done(ADMIN, c.ModMuteChat(user_id="ann", muted=False))
    stage.now += 600
    assert stage.done(ANN, c.ChatSend(text="two"))


@pytest.mark.parametrize(
    ("author", "code"),
    [(ANN, None), (BEN, Code.FORBIDDEN)],
)
def test_a_member_deletes_its_own_messages_only(author: Actor, code: Code | None) -> None:
    stage = Stage()
    message = Message(1, 0, "m-1", Profile(author.user_id), "hi", "text")
    outcome = stage.do(ANN, c.ChatDelete(message_id="m-1"), Facts(message=message))
    assert (outcome.code if isinstance(outcome, Rejection) else None) is code


def test_an_admin_deletes_messages_of_lower_roles() -> None:
    stage = Stage()
    assert stage.refused(ADMIN, c.ChatDelete(message_id="m-1")) is Code.MESSAGE_NOT_FOUND
    for author, code in ((ANN, None), (OWNER, Code.FORBIDDEN_TARGET)):
        message = Message(1, 0, "m-1", Profile(author.user_id, role=author.role), "hi", "text")
        outcome = stage.do(ADMIN, c.ChatDelete(message_id="m-1"), Facts(message=message))
        assert (outcome.code if isinstance(outcome, Rejection) else None) is code


def _gift(transaction_id: str, quantity: int = 1, recipients: list[str] | None = None) -> c.AnnounceGift:
    return c.AnnounceGift(
        transaction_id=transaction_id,
        sender=Profile("ann"),
        gift=c.GiftShown("rose", "Rose", "", "", 10),
        quantity=quantity,
        recipients=recipients or ["ben"],
        total_cost=10 * quantity * len(recipients or ["ben"]),
        combo_window_ms=3_000,
    )


def test_equal_gifts_in_time_make_a_combo_and_end_once() -> None:
    stage = Stage()
    (first,) = stage.done(SYSTEM, _gift("t1", 2, ["ben", "cat"]))
    stage.now += 2_999
    (second,) = stage.done(SYSTEM, _gift("t2", 2, ["cat", "ben"]))
    assert isinstance(first, e.GiftSent)
    assert isinstance(second, e.GiftSent)
    assert first.combo is not None
    assert second.combo == e.ComboShown(first.combo.combo_id, 2, 8, stage.now + 3_000)
    (other,) = stage.done(SYSTEM, _gift("t3", 1, ["ben"]))
    assert isinstance(other, e.GiftSent)
    assert other.combo is not None
    assert other.combo.count == 1
    ended = stage.wait(3_000)
    assert ended == (
        e.GiftComboEnded(first.combo.combo_id, "ann", "rose", 2, 8, 80),
        e.GiftComboEnded(other.combo.combo_id, "ann", "rose", 1, 1, 10),
    )
    assert stage.room.combos == ()


def test_a_late_gift_ends_the_old_combo_and_begins_a_new_one() -> None:
    stage = Stage()
    stage.done(SYSTEM, _gift("t1"))
    stage.now += 3_000
    events = stage.done(SYSTEM, _gift("t2"))
    assert _names(events) == ["gift:combo_ended", "gift:sent"]
    assert stage.room.combos[0].count == 1


def test_a_gift_announced_late_is_counted_but_its_animation_is_over() -> None:
    stage = Stage()
    (event,) = stage.done(SYSTEM, replace(_gift("t1"), committed_at=stage.now - 20_000))
    assert isinstance(event, e.GiftSent)
    assert event.play_at == stage.now - 20_000 + limits.PLAY_LEAD_MS
    assert event.combo is not None


def test_a_closed_room_ends_its_combos_first() -> None:
    stage = Stage()
    stage.done(SYSTEM, _gift("t1"))
    assert _names(stage.done(OWNER, c.RoomClose(reason="late"))) == ["gift:combo_ended", "room:closed"]


def test_commands_of_other_parts_are_none_of_the_documents() -> None:
    outcome = decide(new_room(), c.WalletGet(), ANN, 0)
    assert isinstance(outcome, Rejection)
    assert outcome.code is Code.PAYLOAD_INVALID
