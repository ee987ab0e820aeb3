"""Agencies: what they take of their members' earnings. A gift is split by what stands here as it is paid."""

from __future__ import annotations

from api.ledger.database import Database
from api.rest.calls import Call
from api.rest.replies import Missing, Reply
from api.rest.shapes import AgencyShown, MembershipShown
from state.rejections import Rejection


class AgencyHandlers:
    """The agency routes' handlers."""

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def put(self, call: Call) -> Reply | Rejection:
        """PUT /v1/agencies/{agency_id}"""
        agency_id, commission_bps = call.path["agency_id"], call.body.commission_bps
        row = await self._database.row("agency_put", agency_id, commission_bps)
        return Reply(AgencyShown(agency_id, commission_bps), 201 if row["created"] else 200)

    async def put_member(self, call: Call) -> Reply | Rejection:
        """PUT /v1/agencies/{agency_id}/members/{user_id}"""
        agency_id, user_id = call.path["agency_id"], call.path["user_id"]
        row = await self._database.row("membership_put", user_id, agency_id, call.body.commission_bps)
        shown = MembershipShown(user_id, agency_id, call.body.commission_bps)
        return Reply(shown, 201 if row["created"] else 200)

    async def drop_member(self, call: Call) -> Reply | Rejection | Missing:
        """DELETE /v1/agencies/{agency_id}/members/{user_id}"""
        row = await self._database.row("membership_drop", call.path["user_id"], call.path["agency_id"])
        return Missing("the user is not of this agency") if row is None else Reply(None)
