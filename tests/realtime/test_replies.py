"""Outcomes as clients read them."""

from realtime.replies import accepted, refused, turned_away, unavailable
from state.rejections import Code, Rejection


def test_yes() -> None:
    assert accepted({"seat": 1}) == {"ok": True, "data": {"seat": 1}}


def test_no_says_what_and_whether_to_try_again() -> None:
    rejection = Rejection(Code.RATE_LIMITED, retry_after_ms=250, details={"limit": "chat"})
    assert refused(rejection) == {
        "ok": False,
        "error": {
            "code": "RATE_LIMITED",
            "message": Code.RATE_LIMITED.sentence,
            "retry": "later",
            "retry_after_ms": 250,
            "details": {"limit": "chat"},
        },
    }
    assert "details" not in refused(Rejection(Code.FORBIDDEN))["error"]


def test_a_refused_connection_carries_the_same() -> None:
    answer = turned_away(unavailable())
    assert answer.data is not None
    assert answer.data["code"] == "UNAVAILABLE"
    assert answer.message == answer.data["message"]
