"""`python -m tests.model --commands N --seed S --url URL`: the comparison with a real server at any size.

The server's data is erased: give it one that holds nothing.
"""

import argparse

import redis

from tests.model.likeness import compare


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--commands", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--url", required=True)
    options = parser.parse_args()
    with redis.Redis.from_url(options.url, protocol=2) as client:
        compare(client, options.seed, options.commands)
    print(f"{options.commands} commands, seed {options.seed}: no difference")


if __name__ == "__main__":
    main()
