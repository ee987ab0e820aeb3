"""The tables of the documentation page say what the code does."""

from realtime.documents.tables import tables
from state.identity import ROLES
from state.rejections import Code
from state.transitions import PERMISSIONS


def test_every_code_is_listed_once_with_its_meaning() -> None:
    rows = tables()["codes"]
    assert [row["code"] for row in rows] == [code.value for code in Code]
    assert all(row["meaning"] and 400 <= row["status"] < 600 for row in rows)


def test_every_permission_is_listed_for_the_roles_that_have_it() -> None:
    listed = {(row["command"], role) for row in tables()["permissions"] for role in row["roles"]}
    assert listed == {(command, role) for role in ROLES for command in PERMISSIONS[role]}
