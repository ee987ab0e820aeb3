"""Room tokens: issued to backends for their users, looked at, and renewed for long stays.

A token is never made for a user who is banned from the room, whoever asks.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from api.gifts import closed_to
from api.rest.access import Doorkeeper
from api.rest.calls import Call
from api.rest.replies import Reply
from api.rest.shapes import TokenClaims, TokenIssued
from state.rejections import Code, Rejection
from state.rooms import Rooms
from state.tokens import Claims, KeyRing, sign


class TokenHandlers:
    """The token routes' handlers."""

    def __init__(
        self,
        *,
        rooms: Rooms,
        keyring: KeyRing,
        doorkeeper: Doorkeeper,
        lifetime_seconds: int,
        socket_url: str,
        new_token_id: Callable[[], str],
    ) -> None:
        self._rooms = rooms
        self._keyring = keyring
        self._doorkeeper = doorkeeper
        self._lifetime_seconds = lifetime_seconds
        self._socket_url = socket_url
        self._new_token_id = new_token_id

    async def issue(self, call: Call) -> Reply | Rejection:
        """POST /v1/rooms/{room_id}/tokens"""
        body, issued_at = call.body, call.now_ms // 1000
        claims = Claims(
            user_id=body.user_id,
            room_id=call.path["room_id"],
            role=body.role,
            jti=self._new_token_id(),
            issued_at=issued_at,
            expires_at=issued_at + (body.ttl_s or self._lifetime_seconds),
            permissions=None if body.perms is None else frozenset(body.perms),
            name=body.name,
            avatar=body.avatar,
            level=body.level,
            vip=body.vip,
            device_id=body.device_id,
        )
        return await self._signed(claims, call.now_ms, 201)

    async def validate(self, call: Call) -> Reply | Rejection:
        """POST /v1/tokens/validate"""
        claims = self._doorkeeper.claims(call.body.token, call.now_ms)
        if isinstance(claims, Rejection):
            return claims
        shown = TokenClaims(
            user_id=claims.user_id,
            room_id=claims.room_id,
            role=claims.role,
            perms=None if claims.permissions is None else sorted(claims.permissions),
            name=claims.name,
            avatar=claims.avatar,
            level=claims.level,
            vip=claims.vip,
            device_id=claims.device_id,
            issued_at=claims.issued_at * 1000,
            expires_at=claims.expires_at * 1000,
        )
        return Reply(shown)

    async def refresh(self, call: Call) -> Reply | Rejection:
        """POST /v1/tokens/refresh"""
        old = self._to_renew(call)
        if isinstance(old, Rejection):
            return old
        issued_at = call.now_ms // 1000
        lifetime_seconds = call.body.ttl_s or old.expires_at - old.issued_at
        claims = replace(
            old, jti=self._new_token_id(), issued_at=issued_at, expires_at=issued_at + lifetime_seconds
        )
        return await self._signed(claims, call.now_ms, 200)

    def _to_renew(self, call: Call) -> Claims | Rejection:
        """A user renews its own token and no longer than it was; a backend anybody's."""
        if call.claims is not None:
            own_seconds = call.claims.expires_at - call.claims.issued_at
            if call.body.token is not None or (call.body.ttl_s or 0) > own_seconds:
                return Rejection(Code.FORBIDDEN, "users renew their own token, for as long as it was")
            return call.claims
        if call.body.token is None:
            return Rejection(Code.PAYLOAD_INVALID, "whose token is missing", details={"fields": ["token"]})
        return self._doorkeeper.claims(call.body.token, call.now_ms)

    async def _signed(self, claims: Claims, now_ms: int, status: int) -> Reply | Rejection:
        if claims.expires_at - claims.issued_at > self._keyring.lifetime_seconds_max:
            return Rejection(
                Code.PAYLOAD_INVALID, "the lifetime is over the maximum", details={"fields": ["ttl_s"]}
            )
        refusal = closed_to(await self._rooms.load(claims.room_id), claims.user_id, now_ms)
        if refusal is not None:
            return refusal
        issued = TokenIssued(sign(claims, self._keyring), claims.expires_at * 1000, self._socket_url)
        return Reply(issued, status, "token issued")
