"""Seats, the queue for them, and the mics of those who sit."""

from __future__ import annotations

import pytest

from state import commands as c
from state import events as e
from state import limits
from state.rejections import Code, Rejection
from state.room import can_publish
from state.transitions import next_deadline
from tests.state.stage import ADMIN, ANN, BEN, CAT, OWNER, Stage, actor, new_room


def _names(events: tuple[e.Event, ...]) -> list[str]:
    return [e.name_of(event) for event in events]


# --- Seats -----------------------------------------------------------------------------------------------


def test_taking_a_seat_tells_the_whole_seat() -> None:
    stage = Stage()
    (event,) = stage.done(ANN, c.SeatTake(index=3))
    assert isinstance(event, e.SeatChanged)
    assert event.cause == "take"
    assert event.seats == (
        e.SeatShown(3, False, False, e.Sitter("ann", "Ann", "", "member"), e.Mic(False, False, True), False),
    )


def test_the_lowest_free_seat_is_not_the_owners() -> None:
    stage = Stage()
    assert stage.reply(ANN, c.SeatTake(index=-1))["seat"]["index"] == 1
    assert stage.reply(OWNER, c.SeatTake(index=-1))["seat"]["index"] == 0


def test_taking_ones_own_seat_again_changes_nothing() -> None:
    stage = Stage()
    stage.done(ANN, c.SeatTake(index=2))
    assert stage.done(ANN, c.SeatTake(index=2)) == ()
    assert stage.reply(ANN, c.SeatTake(index=-1))["seat"]["index"] == 2


def test_refusals_of_seat_take_come_in_the_documented_order() -> None:
    """Everything is wrong at once; what is wrong is put right one after the other."""
    stage = Stage(new_room(seat_mode="request"))
    stage.done(OWNER, c.SeatInvite(user_id="ann", index=1))
    stage.done(ANN, c.SeatRespondInvite(invite_id=stage.room.invites[0].invite_id, accept=True))
    stage.done(OWNER, c.SeatInvite(user_id="ben", index=2))
    stage.done(OWNER, c.SeatLock(index=3, locked=True))
    absent = actor("ann", present=False)
    assert stage.refused(absent, c.SeatTake(index=99)) is Code.NOT_IN_ROOM
    assert stage.refused(ANN, c.SeatTake(index=99)) is Code.SEAT_INDEX_INVALID
    assert stage.refused(ANN, c.SeatTake(index=3)) is Code.ALREADY_SEATED
    stage.done(ADMIN, c.SeatKick(user_id="ann", cooldown_s=60))
    assert stage.refused(ANN, c.SeatTake(index=3)) is Code.SEAT_LOCKED
    assert stage.refused(ANN, c.SeatTake(index=2)) is Code.SEAT_MODE_REQUEST
    stage.done(OWNER, c.RoomUpdate(seat_mode="free"))
    assert stage.refused(ANN, c.SeatTake(index=2)) is Code.SEAT_OCCUPIED
    assert stage.refused(ANN, c.SeatTake(index=4)) is Code.SEAT_COOLDOWN
    stage.now += 60_000
    assert stage.done(ANN, c.SeatTake(index=4))


def test_a_cooldown_says_how_long_to_wait() -> None:
    stage = Stage()
    stage.done(ANN, c.SeatTake(index=1))
    stage.done(ADMIN, c.SeatKick(user_id="ann", cooldown_s=60))
    stage.now += 10_000
    refused = stage.do(ANN, c.SeatTake(index=1))
    assert isinstance(refused, Rejection)
    assert refused.retry_after_ms == 50_000


def test_no_free_seat() -> None:
    stage = Stage(new_room(seat_count=2))
    stage.done(ANN, c.SeatTake(index=1))
    assert stage.refused(BEN, c.SeatTake(index=-1)) is Code.SEAT_ALL_TAKEN


def test_seat_zero_is_the_owners() -> None:
    stage = Stage()
    assert stage.refused(ADMIN, c.SeatTake(index=0)) is Code.SEAT_LOCKED
    assert stage.done(OWNER, c.SeatTake(index=0))


def test_moving_is_one_event_with_both_seats_and_keeps_the_mic() -> None:
    stage = Stage()
    stage.done(ANN, c.SeatTake(index=1))
    stage.done(ANN, c.MicSet(muted=True))
    stage.done(ADMIN, c.SeatMute(index=4, muted=True))
    (event,) = stage.done(ANN, c.SeatMove(index=4))
    assert isinstance(event, e.SeatChanged)
    assert [seat.index for seat in event.seats] == [1, 4]
    assert event.seats[0].user is None
    assert event.seats[1].mic == e.Mic(self_muted=True, admin_muted=False, can_publish=False)
    assert event.seats[1].muted


@pytest.mark.parametrize(
    ("index", "code"),
    [
        (-1, Code.SEAT_INDEX_INVALID),
        (1, Code.SEAT_SAME_INDEX),
        (5, Code.SEAT_LOCKED),
        (2, Code.SEAT_OCCUPIED),
    ],
)
def test_moves_that_are_refused(index: int, code: Code) -> None:
    stage = Stage()
    stage.done(ANN, c.SeatTake(index=1))
    stage.done(BEN, c.SeatTake(index=2))
    stage.done(ADMIN, c.SeatLock(index=5, locked=True))
    assert stage.refused(ANN, c.SeatMove(index=index)) is code
    assert stage.refused(CAT, c.SeatMove(index=index)) is Code.NOT_SEATED


def test_move_user_by_policy() -> None:
    stage = Stage()
    stage.done(ANN, c.SeatTake(index=1))
    stage.done(BEN, c.SeatTake(index=2))
    assert stage.refused(ADMIN, c.SeatMoveUser(user_id="ann", index=2)) is Code.SEAT_OCCUPIED
    stage.done(ADMIN, c.SeatMoveUser(user_id="ann", index=2, policy="swap"))
    assert (stage.sits(1), stage.sits(2)) == ("ben", "ann")
    stage.done(ADMIN, c.SeatMoveUser(user_id="ben", index=2, policy="replace"))
    assert (stage.sits(1), stage.sits(2)) == (None, "ben")
    assert stage.refused(ADMIN, c.SeatMoveUser(user_id="ann", index=1)) is Code.NOT_SEATED


def test_replacing_or_swapping_with_a_higher_user_is_refused() -> None:
    stage = Stage()
    stage.done(ANN, c.SeatTake(index=1))
    other = actor("boss", "admin")
    stage.present["boss"] = other
    stage.done(other, c.SeatTake(index=2))
    for policy in ("replace", "swap"):
        command = c.SeatMoveUser(user_id="ann", index=2, policy=policy)
        assert stage.refused(ADMIN, command) is Code.FORBIDDEN_TARGET


def test_replace_frees_a_seat_that_an_invite_holds() -> None:
    stage = Stage()
    stage.done(ANN, c.SeatTake(index=1))
    stage.done(ADMIN, c.SeatInvite(user_id="ben", index=2))
    assert stage.refused(ADMIN, c.SeatMoveUser(user_id="ann", index=2)) is Code.SEAT_OCCUPIED
    events = stage.done(ADMIN, c.SeatMoveUser(user_id="ann", index=2, policy="replace"))
    assert _names(events) == ["seat:invite_resolved", "seat:changed"]


def test_locking_a_seat_evicts_unless_told_not_to() -> None:
    stage = Stage()
    stage.done(ANN, c.SeatTake(index=1))
    stage.done(BEN, c.SeatTake(index=2))
    stage.done(ADMIN, c.SeatLock(index=1, locked=True))
    stage.done(ADMIN, c.SeatLock(index=2, locked=True, evict=False))
    assert (stage.sits(1), stage.sits(2)) == (None, "ben")
    assert stage.room.seats[1].locked
    assert stage.room.seats[2].locked


def test_locking_all_locks_only_empty_seats_and_ends_what_waited_for_them() -> None:
    stage = Stage()
    stage.done(ANN, c.SeatTake(index=1))
    stage.done(BEN, c.SeatRequest(index=3))
    stage.done(ADMIN, c.SeatInvite(user_id="cat", index=4))
    events = stage.done(ADMIN, c.SeatLock(index="all", locked=True))
    assert _names(events) == ["seat:request_resolved", "seat:invite_resolved", "seat:changed"]
    assert not stage.room.seats[1].locked
    assert all(seat.locked for seat in stage.room.seats if seat.index != 1)
    (event,) = stage.done(ADMIN, c.SeatLock(index="all", locked=False))
    assert isinstance(event, e.SeatChanged)
    assert event.cause == "unlock"
    assert len(event.seats) == 8


def test_the_owner_can_not_be_locked_out_by_an_admin() -> None:
    stage = Stage()
    stage.done(OWNER, c.SeatTake(index=0))
    assert stage.refused(ADMIN, c.SeatLock(index=0, locked=True)) is Code.FORBIDDEN_TARGET


def test_muting_all_spares_the_caller_and_covers_later_sitters() -> None:
    stage = Stage()
    stage.done(ADMIN, c.SeatTake(index=1))
    stage.done(ANN, c.SeatTake(index=2))
    stage.done(OWNER, c.SeatTake(index=0))
    stage.done(ADMIN, c.SeatMute(index="all", muted=True))
    assert can_publish(stage.room, "admin")
    assert can_publish(stage.room, "owner")  # out of an admin's reach
    assert not can_publish(stage.room, "ann")
    stage.done(BEN, c.SeatTake(index=5))
    assert not can_publish(stage.room, "ben")


def test_a_kick_from_a_seat() -> None:
    stage = Stage()
    assert stage.refused(ADMIN, c.SeatKick(user_id="admin")) is Code.CANNOT_TARGET_SELF
    assert stage.refused(ADMIN, c.SeatKick(user_id="nobody")) is Code.TARGET_NOT_IN_ROOM
    assert stage.refused(ADMIN, c.SeatKick(user_id="owner")) is Code.FORBIDDEN_TARGET
    assert stage.refused(ADMIN, c.SeatKick(user_id="ann")) is Code.NOT_SEATED
    stage.done(ANN, c.SeatTake(index=1))
    (event,) = stage.done(ADMIN, c.SeatKick(user_id="ann"))
    assert isinstance(event, e.SeatChanged)
    assert event.cause == "kick"


# --- Requests and invites --------------------------------------------------------------------------------


def test_requests_are_first_in_first_out_and_at_most_twenty() -> None:
    stage = Stage(new_room(seat_mode="request"))
    for number in range(limits.REQUESTS_MAX):
        reply = stage.reply(actor(f"u{number}"), c.SeatRequest())
        assert reply["position"] == number + 1
    assert stage.refused(ANN, c.SeatRequest()) is Code.REQUEST_QUEUE_FULL
    listed = stage.reply(ADMIN, c.SeatListRequests())["requests"]
    assert [one["user"]["user_id"] for one in listed] == [f"u{n}" for n in range(limits.REQUESTS_MAX)]


def test_a_request_is_answered_once() -> None:
    stage = Stage(new_room(seat_mode="request"))
    request_id = stage.reply(ANN, c.SeatRequest(index=2))["request_id"]
    assert stage.refused(ANN, c.SeatRequest()) is Code.REQUEST_EXISTS
    accept = c.SeatRespondRequest(request_id=request_id, accept=True)
    assert stage.refused(BEN, accept) is Code.FORBIDDEN
    assert _names(stage.done(ADMIN, accept)) == ["seat:request_resolved", "seat:changed"]
    assert stage.sits(2) == "ann"
    assert stage.refused(OWNER, accept) is Code.REQUEST_NOT_FOUND


def test_an_accepted_user_opens_its_mic_itself() -> None:
    stage = Stage()
    request_id = stage.reply(ANN, c.SeatRequest())["request_id"]
    stage.done(ADMIN, c.SeatRespondRequest(request_id=request_id, accept=True))
    assert not can_publish(stage.room, "ann")
    stage.done(ANN, c.MicSet(muted=False))
    assert can_publish(stage.room, "ann")


def test_accepting_takes_the_wanted_seat_or_the_first_free_one() -> None:
    stage = Stage(new_room(seat_count=3))
    request_id = stage.reply(ANN, c.SeatRequest(index=1))["request_id"]
    stage.done(BEN, c.SeatTake(index=1))
    stage.done(CAT, c.SeatTake(index=2))
    accept = c.SeatRespondRequest(request_id=request_id, accept=True)
    assert stage.refused(ADMIN, accept) is Code.SEAT_ALL_TAKEN
    stage.done(CAT, c.SeatLeave())
    stage.done(ADMIN, accept)
    assert stage.sits(2) == "ann"


def test_a_request_of_one_who_is_gone_is_not_accepted() -> None:
    stage = Stage()
    request_id = stage.reply(ANN, c.SeatRequest())["request_id"]
    del stage.present["ann"]
    accept = c.SeatRespondRequest(request_id=request_id, accept=True)
    assert stage.refused(ADMIN, accept) is Code.TARGET_NOT_IN_ROOM


def test_requests_expire() -> None:
    stage = Stage()
    stage.done(ANN, c.SeatRequest())
    assert next_deadline(stage.room) == stage.now + limits.REQUEST_TTL_MS
    assert stage.wait(limits.REQUEST_TTL_MS - 1) == ()
    (event,) = stage.wait(1)
    assert isinstance(event, e.SeatRequestResolved)
    assert event.result == "expired"


def test_only_ones_own_request_can_be_cancelled() -> None:
    stage = Stage()
    request_id = stage.reply(ANN, c.SeatRequest())["request_id"]
    assert stage.refused(BEN, c.SeatCancelRequest(request_id=request_id)) is Code.REQUEST_NOT_FOUND
    assert _names(stage.done(ANN, c.SeatCancelRequest(request_id=request_id))) == ["seat:request_resolved"]


def test_an_invite_holds_the_seat_for_its_user() -> None:
    stage = Stage()
    invite_id = stage.reply(ADMIN, c.SeatInvite(user_id="ann", index=2))["invite_id"]
    assert stage.refused(BEN, c.SeatTake(index=2)) is Code.SEAT_OCCUPIED
    assert stage.refused(ADMIN, c.SeatInvite(user_id="ben", index=2)) is Code.SEAT_OCCUPIED
    assert stage.refused(BEN, c.SeatRespondInvite(invite_id=invite_id, accept=True)) is Code.INVITE_NOT_FOUND
    events = stage.done(ANN, c.SeatRespondInvite(invite_id=invite_id, accept=True))
    assert _names(events) == ["seat:invite_resolved", "seat:changed"]
    assert stage.sits(2) == "ann"


def test_a_locked_seat_may_be_offered() -> None:
    stage = Stage()
    stage.done(ADMIN, c.SeatLock(index=2, locked=True))
    invite_id = stage.reply(ADMIN, c.SeatInvite(user_id="ann", index=2))["invite_id"]
    stage.done(ANN, c.SeatRespondInvite(invite_id=invite_id, accept=True))
    assert stage.sits(2) == "ann"
    assert stage.room.seats[2].locked


def test_an_invite_runs_out_and_frees_the_seat() -> None:
    stage = Stage()
    stage.done(ADMIN, c.SeatInvite(user_id="ann", index=2, timeout_ms=5_000))
    (event,) = stage.wait(5_000)
    assert isinstance(event, e.SeatInviteResolved)
    assert event.result == "expired"
    stage.done(BEN, c.SeatTake(index=2))


def test_taking_the_held_seat_oneself_accepts_the_invite() -> None:
    stage = Stage()
    stage.done(ADMIN, c.SeatInvite(user_id="ann", index=2))
    resolved, _ = stage.done(ANN, c.SeatTake(index=2))
    assert isinstance(resolved, e.SeatInviteResolved)
    assert resolved.result == "accepted"


# --- Mics ------------------------------------------------------------------------------------------------


def test_the_three_mutes_are_independent() -> None:
    stage = Stage()
    stage.done(ANN, c.SeatTake(index=1))
    stage.done(ADMIN, c.MicMuteUser(user_id="ann", muted=True))
    stage.done(ADMIN, c.SeatMute(index=1, muted=True))
    assert stage.refused(ANN, c.MicSet(muted=False)) is Code.MIC_LOCKED_BY_SEAT
    stage.done(ADMIN, c.SeatMute(index=1, muted=False))
    assert stage.refused(ANN, c.MicSet(muted=False)) is Code.MIC_LOCKED_BY_ADMIN
    stage.done(ANN, c.MicSet(muted=True))
    stage.done(ADMIN, c.MicMuteUser(user_id="ann", muted=False))
    assert not can_publish(stage.room, "ann")
    stage.done(ANN, c.MicSet(muted=False))
    assert can_publish(stage.room, "ann")


def test_an_admins_mute_follows_the_user() -> None:
    stage = Stage()
    stage.done(ADMIN, c.MicMuteUser(user_id="ann", muted=True))
    (event,) = stage.done(ANN, c.SeatTake(index=1))
    assert isinstance(event, e.SeatChanged)
    assert event.seats[0].mic == e.Mic(self_muted=False, admin_muted=True, can_publish=False)
    stage.done(ANN, c.SeatLeave())
    stage.done(ANN, c.SeatTake(index=2))
    assert not can_publish(stage.room, "ann")


def test_a_timed_mute_ends() -> None:
    stage = Stage()
    stage.done(ANN, c.SeatTake(index=1))
    stage.done(ADMIN, c.MicMuteUser(user_id="ann", muted=True, duration_s=5))
    (event,) = stage.wait(5_000)
    assert event == e.MicChanged("ann", 1, False, False, True)


def test_asking_opens_nothing() -> None:
    stage = Stage()
    assert stage.refused(ADMIN, c.MicAskUnmute(user_id="ann")) is Code.NOT_SEATED
    stage.done(ANN, c.SeatTake(index=1))
    stage.done(ANN, c.MicSet(muted=True))
    assert _names(stage.done(ADMIN, c.MicAskUnmute(user_id="ann"))) == ["mic:unmute_asked"]
    assert not can_publish(stage.room, "ann")
