"""Room passwords: kept as salted scrypt hashes, compared in constant time.

The cost is chosen so that a check takes a few milliseconds: a room password is shared among friends, and a
join must not hold up a node.
"""

import base64
import hashlib
import hmac
from typing import Final

_COST: Final = {"n": 2**10, "r": 8, "p": 1, "dklen": 24}
SALT_BYTES: Final = 12


def hash_password(password: str, salt: bytes) -> str:
    """`salt$hash`, both in base64. An empty password has an empty hash: none is asked for."""
    if not password:
        return ""
    digest = hashlib.scrypt(password.encode(), salt=salt, **_COST)
    return f"{base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def matches(password: str, stored: str) -> bool:
    """Whether this is the password that was hashed."""
    salt = base64.b64decode(stored.partition("$")[0])
    return hmac.compare_digest(hash_password(password, salt).encode(), stored.encode())
