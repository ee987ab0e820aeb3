"""Names and bodies: strict in, complete out."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from state import commands as c
from state import events as e
from state.identity import Actor
from state.ids import is_id, new_id, node_of
from state.rejections import Code, Rejection
from state.wire import command_schema, decode_command, encode_event, encode_fields, event_schema, seen_by
from tests.state.stage import ADMIN, ANN, BEN, new_room


@pytest.mark.parametrize(
    ("name", "body", "fields"),
    [
        ("seat:take", {"index": "1"}, ["index"]),
        ("seat:take", {"index": 1.5}, ["index"]),
        ("seat:take", {"index": True}, ["index"]),
        ("seat:take", {}, ["index"]),
        ("seat:take", {"index": 1, "extra": 1}, ["extra"]),
        ("seat:take", {"index": 1, "command": "seat:take"}, ["command"]),
        ("seat:take", {"index": 1, "cid": ""}, ["cid"]),
        ("seat:take", {"index": 1, "cid": "x" * 65}, ["cid"]),
        ("seat:lock", {"index": "some", "locked": True}, ["index"]),
        ("chat:send", {"text": ""}, ["text"]),
        ("chat:send", {"text": "x" * 2001}, ["text"]),
        ("chat:send", {"text": "x", "mentions": ["a b"]}, ["mentions[0]"]),
        ("room:update", {"privacy": "secret"}, ["privacy"]),
        ("mod:kick", {"user_id": "ann\n"}, ["user_id"]),
        ("internal:mark_away", {"user_id": "ann"}, ["command"]),
        ("no:such", {}, ["command"]),
        ("seat:take", None, []),
        ("seat:take", [1], []),
    ],
)
def test_what_is_not_in_the_contract_is_refused_with_the_field(
    name: str, body: Any, fields: list[str]
) -> None:
    refused = decode_command(name, body)
    assert isinstance(refused, Rejection)
    assert refused.code is Code.PAYLOAD_INVALID
    assert refused.details == {"fields": fields}


def test_half_a_surrogate_pair_is_no_text() -> None:
    assert isinstance(decode_command("chat:send", {"text": "\ud800"}), Rejection)
    assert isinstance(decode_command("mod:kick", {"user_id": "ann", "reason": "\udfff"}), Rejection)


def test_commands_decode_to_their_types() -> None:
    assert decode_command("seat:lock", {"index": "all", "locked": True}) == c.SeatLock(
        index="all", locked=True
    )
    assert decode_command("rtc:produce", {"transport_id": "t", "kind": "audio", "rtpParameters": {}}) == (
        c.RtcProduce(transport_id="t", kind="audio", rtp_parameters={})
    )
    assert decode_command("seat:invite", {"user_id": "a", "index": 1, "cid": "x:1"}) == (
        c.SeatInvite(user_id="a", index=1, cid="x:1")
    )


@given(
    st.sampled_from(sorted(c.COMMAND_TYPES)), st.dictionaries(st.text(max_size=12), st.integers() | st.text())
)
def test_any_body_is_decoded_or_refused(name: str, body: dict[str, Any]) -> None:
    decoded = decode_command(name, body)
    assert isinstance(decoded, (Rejection, c.COMMAND_TYPES[name]))


def test_an_event_has_its_place_and_hides_what_only_the_document_needs() -> None:
    room = new_room()
    recorded = e.Recorded("e1", 7, 1234, "owner", e.RoomUpdated(room.settings, password_hash="secret"))
    name, body = encode_event("room", recorded)
    assert name == "room:updated"
    assert set(body) == {"settings", "room_id", "seq", "at", "by"}
    assert (body["room_id"], body["seq"], body["at"], body["by"]) == ("room", 7, 1234, "owner")
    name, body = encode_fields(e.SeatChanged("kick", (), {"ann": 5}))
    assert body == {"cause": "kick", "seats": ()} or body == {"cause": "kick", "seats": []}


@pytest.mark.parametrize(
    ("event", "sees", "does_not"),
    [
        (e.SeatRequestResolved("r", "ann", "accepted"), [ANN, ADMIN], [BEN]),
        (e.SeatInvited(e.Invite("i", "ann", 1, "admin", 0, 1)), [ANN, ADMIN], [BEN]),
        (e.MicUnmuteAsked("ann"), [ANN], [ADMIN, BEN]),
        (e.ModUserUnbanned("ann"), [], [ANN, ADMIN, BEN]),
        (e.ModUserKicked("ann", ""), [ANN, ADMIN, BEN], []),
    ],
)
def test_what_concerns_some_is_passed_over_for_others(
    event: e.Event, sees: list[Actor], does_not: list[Actor]
) -> None:
    room = new_room()
    recorded = e.Recorded("e1", 7, 1, "admin", event)
    for viewer in sees:
        assert seen_by(room, recorded, viewer) is recorded
    for viewer in does_not:
        passed = seen_by(room, recorded, viewer)
        assert passed == e.Recorded("e1", 7, 1, None, e.RoomUpdated(room.settings))


def test_schemas_name_every_public_shape() -> None:
    commands, parts = command_schema()
    assert len(commands) == len(c.COMMAND_TYPES)
    take = parts["SeatTake"]
    assert take["required"] == ["index"]
    assert take["additionalProperties"] is False
    assert set(take["properties"]) == {"cid", "index"}
    events, parts = event_schema()
    assert "room:snapshot" in events
    assert not [name for name in events if name.startswith("internal:")]
    assert set(parts["RoomUpdated"]["properties"]) == {"settings"}
    msgspec.json.encode((commands, events, parts))


def test_every_code_says_whether_to_try_again() -> None:
    for code in Code:
        assert code.retry in ("never", "after_change", "later")
        assert 400 <= code.http_status < 600
        assert code.sentence.endswith(".")


def test_ids_sort_by_time_and_fit_the_pattern() -> None:
    early, late = new_id(b"\xff" * 10, 1_000), new_id(b"\x00" * 10, 1_001)
    assert early < late
    assert len(early) == 26
    assert is_id(early)
    assert not is_id("a\n")
    assert not is_id("")
    assert not is_id(7)
    assert node_of("n1-x.42") == "n1-x"
    with pytest.raises(ValueError, match="10 random bytes"):
        new_id(b"", 0)
