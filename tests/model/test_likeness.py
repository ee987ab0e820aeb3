"""The model answers as a real server does."""

import redis

from tests.model.likeness import compare

COMMANDS = 100_000


def test_random_commands_get_the_same_answers(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url, protocol=2) as client:
        compare(client, seed=20, count=COMMANDS)
