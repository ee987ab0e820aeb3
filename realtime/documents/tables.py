"""The tables of the documentation page: what each code means, and which role may do what."""

from typing import Any

from state.identity import ROLES
from state.rejections import Code
from state.transitions import PERMISSIONS


def tables() -> dict[str, Any]:
    codes = [
        {"code": code.value, "retry": code.retry, "status": code.http_status, "meaning": code.sentence}
        for code in Code
    ]
    commands = sorted(set().union(*PERMISSIONS.values()))
    permissions = [
        {"command": command, "roles": [role for role in ROLES if command in PERMISSIONS[role]]}
        for command in commands
    ]
    return {"codes": codes, "permissions": permissions}
