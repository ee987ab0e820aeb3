"""Who acts: roles and actors.

The role of a token is where a user starts; the room's document may have appointed or dismissed it since.
`state.room.role_of` knows the role that counts.
"""

from typing import Final, Literal

from msgspec import Struct

Role = Literal["guest", "member", "admin", "owner"]

ROLES: Final[tuple[Role, ...]] = ("guest", "member", "admin", "owner")
RANK: Final[dict[Role, int]] = {role: rank for rank, role in enumerate(ROLES)}


class Profile(Struct, frozen=True):
    """What others see of a user."""

    user_id: str
    name: str = ""
    avatar: str = ""
    role: Role = "member"
    level: int = 0
    vip: int = 0


class Actor(Struct, frozen=True):
    """Who issues a command. `permissions` narrows the role; None does not. The system may do anything."""

    user_id: str
    role: Role = "member"
    permissions: frozenset[str] | None = None
    name: str = ""
    avatar: str = ""
    level: int = 0
    vip: int = 0
    system: bool = False
    # Whether the user is in the room. The gateway knows it of its connections; others ask the audience.
    present: bool = True


SYSTEM: Final = Actor(user_id="system", role="owner", system=True)
