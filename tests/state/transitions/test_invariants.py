"""Any sequence of any commands by anybody: nothing that must hold is ever broken.

The machine throws whole commands, right and wrong ones, at a room and lets time pass. After each it checks
the document, what the events said, and that following the events gives the same document everywhere.
"""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from state import commands as c
from state import events as e
from state import limits
from state.identity import RANK, SYSTEM, Actor, Profile
from state.journal import batch_of, decode_room, decode_room_message, encode
from state.rejections import Code, Rejection
from state.room import Message, can_publish, role_of, seat_of, shown, snapshot
from state.transitions import PERMISSIONS, Decision, Facts, decide, evolve, next_deadline
from tests.state.stage import EVERYBODY, Stage, new_room

_USERS = [who.user_id for who in EVERYBODY] + ["nobody"]
_users = st.sampled_from(_USERS)
_index = st.integers(-1, 6)
_any_index: st.SearchStrategy[Any] = st.one_of(_index, st.just("all"))
_flag = st.booleans()
_seconds = st.one_of(st.none(), st.integers(1, 100))


def _settings_updates() -> st.SearchStrategy[c.RoomUpdate]:
    return st.builds(
        c.RoomUpdate,
        name=st.sampled_from([None, "a", "b"]),
        password=st.sampled_from([None, "", "x"]),
        seat_count=st.sampled_from([None, 1, 3, 5, 6]),
        seat_mode=st.sampled_from([None, "free", "request"]),
        chat_mode=st.sampled_from([None, "all", "seated", "admins", "off"]),
        slow_mode_ms=st.sampled_from([None, 0, 500]),
        guest_policy=st.sampled_from([None, "listen", "chat", "deny"]),
    )


def _gifts() -> st.SearchStrategy[c.AnnounceGift]:
    return st.builds(
        c.AnnounceGift,
        transaction_id=st.uuids().map(str),
        sender=_users.map(Profile),
        gift=st.just(c.GiftShown("rose", "Rose", "", "", 10)),
        quantity=st.integers(1, 2),
        recipients=st.lists(_users, min_size=1, max_size=2, unique=True),
        total_cost=st.integers(1, 100),
        combo_window_ms=st.sampled_from([None, 1_000]),
    )


def _simple_commands() -> list[st.SearchStrategy[Any]]:
    return [
        st.builds(c.SeatTake, index=_index),
        st.builds(c.SeatLeave),
        st.builds(c.SeatMove, index=_index),
        st.builds(c.SeatRequest, index=_index),
        st.builds(c.SeatListRequests),
        st.builds(c.SeatInvite, user_id=_users, index=_index, timeout_ms=st.just(2_000)),
        st.builds(c.SeatKick, user_id=_users, cooldown_s=st.integers(0, 3)),
        st.builds(
            c.SeatMoveUser,
            user_id=_users,
            index=_index,
            policy=st.sampled_from(["abort", "replace", "swap"]),
        ),
        st.builds(c.SeatLock, index=_any_index, locked=_flag, evict=_flag),
        st.builds(c.SeatMute, index=_any_index, muted=_flag),
        st.builds(c.MicSet, muted=_flag),
        st.builds(c.MicMuteUser, user_id=_users, muted=_flag, duration_s=_seconds),
        st.builds(c.MicAskUnmute, user_id=_users),
        st.builds(c.ChatSend, text=st.just("hi")),
        st.builds(c.ChatDelete, message_id=st.just("m-1")),
        st.builds(c.ModSetRole, user_id=_users, role=st.sampled_from(["admin", "member"])),
        st.builds(c.ModKick, user_id=_users),
        st.builds(c.ModBan, user_id=_users, duration_s=_seconds),
        st.builds(c.ModUnban, user_id=_users),
        st.builds(c.ModListBans),
        st.builds(c.ModMuteChat, user_id=_users, muted=_flag, duration_s=_seconds),
        st.builds(c.RoomTransfer, user_id=_users),
        _settings_updates(),
    ]


_commands = st.one_of(_simple_commands())
_internal: st.SearchStrategy[Any] = st.one_of(
    st.builds(c.MarkAway, user_id=_users),
    st.builds(c.MarkBack, user_id=_users),
    st.builds(c.ReleaseUser, user_id=_users),
    st.builds(
        c.AnnounceMembers,
        joined=st.lists(_users.map(Profile), max_size=2),
        left=st.lists(_users.map(c.Departure), max_size=2),
    ),
    st.builds(c.CorrectOnline, online=st.integers(0, 3)),
    _gifts(),
)
_actors = st.sampled_from(EVERYBODY)
_facts = st.sampled_from(
    [None, *(Facts(message=Message(1, 0, "m-1", Profile(user), "hi", "text")) for user in _USERS[:3])]
)


class RoomMachine(RuleBasedStateMachine):
    """A room under arbitrary commands."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = Stage(new_room(seat_count=5))
        self.start = self.stage.room

    @rule(who=_actors, command=_commands, facts=_facts, present=st.sampled_from([True, True, True, False]))
    def act(self, who: Actor, command: c.AnyCommand, facts: Facts | None, present: bool) -> None:
        who = msgspec.structs.replace(who, present=present)
        before = self.stage.room
        if facts is None or not isinstance(command, c.ChatDelete):
            facts = self.stage.facts(command)
        outcome = self.stage.do(who, command, facts)
        again = decide(before, command, who, self.stage.now, facts)
        assert again == outcome  # deciding is deterministic
        if isinstance(outcome, Rejection):
            self._refused_in_order(before, who, command, outcome)
            assert self.stage.room is before

    def _refused_in_order(self, room: Any, who: Actor, command: c.AnyCommand, refused: Rejection) -> None:
        if room.closed_reason is not None:
            expected = Code.ROOM_CLOSED
        elif not who.present:
            expected = Code.NOT_IN_ROOM
        elif c.name_of(command) not in PERMISSIONS[role_of(room, who)]:
            expected = Code.FORBIDDEN
        else:
            assert refused.code not in (Code.ROOM_CLOSED, Code.NOT_IN_ROOM)
            return
        assert refused.code is expected

    @rule(choice=st.integers(0, 30), accept=_flag, index=st.one_of(st.none(), _index), who=_actors)
    def answer_requests(self, choice: int, accept: bool, index: int | None, who: Actor) -> None:
        requests = self.stage.room.requests
        if requests:
            request_id = requests[choice % len(requests)].request_id
            self.stage.do(who, c.SeatRespondRequest(request_id=request_id, accept=accept, index=index))
            self.stage.do(who, c.SeatCancelRequest(request_id=request_id))

    @rule(choice=st.integers(0, 30), accept=_flag)
    def answer_invites(self, choice: int, accept: bool) -> None:
        invites = self.stage.room.invites
        if invites:
            invite = invites[choice % len(invites)]
            who = self.stage.present.get(invite.user_id)
            if who is not None:
                self.stage.do(who, c.SeatRespondInvite(invite_id=invite.invite_id, accept=accept))
            else:
                self.stage.do(EVERYBODY[0], c.SeatCancelInvite(invite_id=invite.invite_id))

    @rule(command=_internal)
    def happen(self, command: c.AnyCommand) -> None:
        outcome = self.stage.do(SYSTEM, command)
        assert isinstance(outcome, Decision) or outcome.code is Code.ROOM_CLOSED

    @rule(milliseconds=st.sampled_from([100, 1_000, 5_000, 31_000, 61_000]))
    def time_passes(self, milliseconds: int) -> None:
        if self.stage.room.closed_reason is None:
            self.stage.wait(milliseconds)
            deadline = next_deadline(self.stage.room)
            assert deadline is None or deadline > self.stage.now

    # --- What always holds --------------------------------------------------------------------------------

    @invariant()
    def nobody_sits_twice_and_no_seat_holds_two(self) -> None:
        room = self.stage.room
        sitting = [seat.user.user_id for seat in room.seats if seat.user is not None]
        assert len(sitting) == len(set(sitting))
        assert [seat.index for seat in room.seats] == list(range(room.settings.seat_count))

    @invariant()
    def an_empty_seat_remembers_nothing_of_its_sitter(self) -> None:
        for seat in self.stage.room.seats:
            assert seat.user is not None or (not seat.self_muted and seat.away_since is None)

    @invariant()
    def the_seated_wait_for_nothing(self) -> None:
        room = self.stage.room
        waiting = [one.user.user_id for one in room.requests] + [one.user_id for one in room.invites]
        assert all(seat_of(room, user_id) is None for user_id in waiting)
        assert len(room.requests) <= limits.REQUESTS_MAX
        assert len({one.user.user_id for one in room.requests}) == len(room.requests)

    @invariant()
    def an_invite_holds_one_empty_seat(self) -> None:
        room = self.stage.room
        held = [one.index for one in room.invites]
        assert len(held) == len(set(held))
        assert all(room.seats[index].user is None for index in held)

    @invariant()
    def who_is_heard_is_seated_here_and_unmuted(self) -> None:
        room = self.stage.room
        for seat in room.seats:
            if seat.user is None:
                continue
            mic = shown(room, seat).mic
            assert mic is not None
            silent = seat.self_muted or seat.muted or seat.away_since is not None or mic.admin_muted
            assert mic.can_publish is (not silent) is can_publish(room, seat.user.user_id)

    @invariant()
    def the_last_word_on_every_seat_and_mic_is_true(self) -> None:
        """What clients were told about a seat is how the seat is, derived mutes included."""
        room = self.stage.room
        said: dict[int, e.SeatShown] = {}
        for recorded in self.stage.happened:
            event = recorded.event
            if isinstance(event, e.SeatChanged):
                said |= {seat.index: seat for seat in event.seats}
            elif isinstance(event, e.RoomUpdated):  # seats that are taken away come back new
                count = event.settings.seat_count
                said = {index: seat for index, seat in said.items() if index < count}
            elif isinstance(event, e.MicChanged) and event.index is not None:
                mic = e.Mic(event.self_muted, event.admin_muted, event.can_publish)
                said[event.index] = msgspec.structs.replace(said[event.index], mic=mic)
        if room.closed_reason is None:
            for index, seat in said.items():
                assert index >= len(room.seats) or seat == shown(room, room.seats[index])

    @invariant()
    def ranks_are_kept(self) -> None:
        room = self.stage.room
        assert room.owner_id not in room.roles
        assert all(RANK[role] < RANK["owner"] for role in room.roles.values())
        assert room.online >= 0

    def teardown(self) -> None:
        """Whoever follows the events, read back from their bytes, has the same document."""
        room = self.start
        happened = self.stage.happened
        for position in range(0, len(happened), 7):
            batch = decode_room_message(encode(batch_of(happened[position : position + 7])))
            for recorded in batch.recorded():  # type: ignore[union-attr]
                room = evolve(room, recorded)
        assert room == self.stage.room
        assert decode_room(encode(room), room.epoch, room.seq) == room
        assert [one.seq for one in happened] == list(range(1, len(happened) + 1))
        for who in EVERYBODY:
            assert snapshot(room, who) == snapshot(self.stage.room, who)


RoomMachine.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestRoomMachine = RoomMachine.TestCase
