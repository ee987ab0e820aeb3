"""What the doctor asks, in the words of whom it asks."""

from realtime.cli.doctor import plain_url


def test_schemes_of_ours_become_those_of_the_library() -> None:
    assert plain_url("redis+cluster://host:1") == "redis://host:1"
    assert plain_url("valkeys://host:1") == "rediss://host:1"
    assert plain_url("unix:///run/x.sock") == "unix:///run/x.sock"
