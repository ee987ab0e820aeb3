"""Keys during a rotation, and what a pass of the console may and may not."""

from __future__ import annotations

import pytest

from state.service_keys import CONSOLE_SCOPES, Service, ServiceKeys, console_pass
from state.settings import Auth, ServiceKey

KEYS = ServiceKeys(
    Auth(
        service_key="the-key-of-every-scope",
        service_keys=(
            ServiceKey("backend", "the-old-key-of-the-backend", ("rooms",)),
            ServiceKey("backend", "the-new-key-of-the-backend", ("rooms", "tokens")),
        ),
    )
)
NOW = 1_700_000_000_000


def test_two_keys_of_one_backend_are_good_during_a_rotation() -> None:
    assert KEYS.holder("the-old-key-of-the-backend", NOW) == Service("backend", frozenset({"rooms"}))
    assert KEYS.holder("the-new-key-of-the-backend", NOW) == Service(
        "backend", frozenset({"rooms", "tokens"})
    )
    assert KEYS.holder("the-new-key-of-the-backenD", NOW) is None


def test_a_key_of_every_scope_may_anything_and_others_what_they_say() -> None:
    assert KEYS.may("the-key-of-every-scope", "credits", NOW)
    assert KEYS.may("the-old-key-of-the-backend", "rooms", NOW)
    assert not KEYS.may("the-old-key-of-the-backend", "credits", NOW)
    assert not KEYS.may("", "rooms", NOW)
    assert KEYS.with_scope("tokens") == "the-new-key-of-the-backend"


def test_a_pass_may_what_the_console_does_and_its_key_may() -> None:
    operator = KEYS.holder(console_pass("the-key-of-every-scope", NOW + 1), NOW)
    assert operator == Service("service/console", CONSOLE_SCOPES, has_pass=True)
    backend = KEYS.holder(console_pass("the-new-key-of-the-backend", NOW + 1), NOW)
    assert backend == Service("backend/console", frozenset({"rooms"}), has_pass=True)


def test_a_pass_ends_by_itself_and_with_its_key() -> None:
    good = console_pass("the-key-of-every-scope", NOW)
    assert KEYS.holder(good, NOW - 1) is not None
    assert KEYS.holder(good, NOW) is None
    assert ServiceKeys(Auth(service_key="another-key")).holder(good, NOW - 1) is None


@pytest.mark.parametrize(
    "presented",
    [
        console_pass("guessed", NOW + 1),
        console_pass("the-key-of-every-scope", NOW + 1).replace(str(NOW + 1), str(NOW + 9)),
        console_pass("the-key-of-every-scope", NOW + 1)[:-1],
        f"console.{'9' * 400}.x",
        "console.١٢٣.x",
        "console..x",
        "console",
    ],
)
def test_what_is_no_pass_is_nobodys(presented: str) -> None:
    assert KEYS.holder(presented, NOW) is None
