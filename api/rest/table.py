"""The table of routes: section by section what the API can do, for whom, and what may be refused."""

from __future__ import annotations

from typing import Any, Final

from api.catalog import CatalogGift, GiftFields
from api.ledger.books import MovementsPage, Transaction, Wallet
from api.rest.agencies import AgencyHandlers
from api.rest.calls import Route
from api.rest.money import MoneyHandlers
from api.rest.rooms import RoomHandlers
from api.rest.shapes import (
    AfterQuery,
    AgencyShown,
    AgencyTerms,
    AnyCommand,
    BoardQuery,
    BoardShown,
    Credit,
    Credited,
    Events,
    GiftList,
    GiftOrder,
    GiftPaid,
    MembershipShown,
    MemberTerms,
    NewRoom,
    NewToken,
    PageQuery,
    Performed,
    Reversal,
    Reversed,
    RoomChanges,
    RoomList,
    RoomShown,
    TokenClaims,
    TokenGiven,
    TokenIssued,
    TokenRenewal,
    Transports,
)
from api.rest.tokens import TokenHandlers
from state.fields import Board
from state.rejections import Code

PREFIX: Final = "/v1"
_ROOM: Final = f"{PREFIX}/rooms/{{room_id}}"
_GONE: Final = (Code.ROOM_NOT_FOUND, Code.ROOM_CLOSED)
_PAYMENT: Final = (
    *_GONE,
    Code.BANNED,
    Code.GIFT_NOT_FOUND,
    Code.GIFT_INACTIVE,
    Code.GIFT_VIP_ONLY,
    Code.RECIPIENT_INVALID,
    Code.INSUFFICIENT_FUNDS,
    Code.IDEMPOTENCY_MISMATCH,
    Code.CONFLICT,
)
# What a command may be refused with: the room decides.
_ANY: Final = tuple(code for code in Code if code not in (Code.INTERNAL, Code.UNAVAILABLE))


def room_routes(handlers: RoomHandlers) -> list[Route]:
    """Rooms, for backends."""
    return [
        Route(
            method="POST",
            path=f"{PREFIX}/rooms",
            operation="create_room",
            summary="Make a room.",
            handler=handlers.create,
            scope="rooms",
            body=NewRoom,
            gives={201: RoomShown},
            refuses=(Code.ROOM_EXISTS,),
            audit="moderation",
        ),
        Route(
            method="GET",
            path=f"{PREFIX}/rooms",
            operation="list_rooms",
            summary="The live rooms with how many are online.",
            handler=handlers.list,
            scope="rooms",
            query=PageQuery,
            gives={200: RoomList},
        ),
        *_one_room_routes(handlers),
        *_insight_routes(handlers),
    ]


def _one_room_routes(handlers: RoomHandlers) -> list[Route]:
    return [
        Route(
            method="GET",
            path=_ROOM,
            operation="get_room",
            summary="One room.",
            handler=handlers.get,
            scope="rooms",
            gives={200: RoomShown},
            refuses=_GONE,
        ),
        Route(
            method="PATCH",
            path=_ROOM,
            operation="change_room",
            summary="Change settings; what is absent stays.",
            handler=handlers.change,
            scope="rooms",
            body=RoomChanges,
            gives={200: RoomShown},
            refuses=(*_GONE, Code.CONFLICT),
            audit="moderation",
        ),
        Route(
            method="DELETE",
            path=_ROOM,
            operation="close_room",
            summary="Close a room for good.",
            handler=handlers.close,
            scope="rooms",
            gives={200: None},
            refuses=_GONE,
            audit="moderation",
        ),
    ]


def _insight_routes(handlers: RoomHandlers) -> list[Route]:
    return [
        Route(
            method="GET",
            path=f"{_ROOM}/snapshot",
            operation="room_snapshot",
            summary="All that a client needs to show the room, as an admin sees it.",
            handler=handlers.snapshot,
            scope="rooms",
            gives={200: dict[str, Any]},
            refuses=_GONE,
        ),
        Route(
            method="GET",
            path=f"{_ROOM}/events",
            operation="room_events",
            summary="The events after a position; CONFLICT when they are not kept any more.",
            handler=handlers.events,
            scope="rooms",
            query=AfterQuery,
            gives={200: Events},
            refuses=(*_GONE, Code.CONFLICT),
        ),
        Route(
            method="GET",
            path=f"{_ROOM}/transports",
            operation="room_transports",
            summary="Who is connected for audio, with packets, loss, jitter and round trips.",
            handler=handlers.transports,
            scope="rooms",
            gives={200: Transports},
            refuses=_GONE,
        ),
        Route(
            method="POST",
            path=f"{_ROOM}/commands",
            operation="perform_command",
            summary="Carry out a room command, as the system or on behalf of a user.",
            handler=handlers.perform,
            scope="commands",
            body=AnyCommand,
            gives={200: Performed},
            refuses=_ANY,
            audit="moderation",
        ),
    ]


def token_routes(handlers: TokenHandlers) -> list[Route]:
    """Room tokens."""
    return [
        Route(
            method="POST",
            path=f"{_ROOM}/tokens",
            operation="issue_token",
            summary="A token with which a user enters the room. Never for a banned user.",
            handler=handlers.issue,
            scope="tokens",
            body=NewToken,
            gives={201: TokenIssued},
            refuses=(*_GONE, Code.BANNED),
        ),
        Route(
            method="POST",
            path=f"{PREFIX}/tokens/validate",
            operation="validate_token",
            summary="What a token says, if it is good.",
            handler=handlers.validate,
            scope="tokens",
            body=TokenGiven,
            gives={200: TokenClaims},
        ),
        Route(
            method="POST",
            path=f"{PREFIX}/tokens/refresh",
            operation="refresh_token",
            summary="A new token for a long stay. Never for a banned user.",
            handler=handlers.refresh,
            scope="tokens",
            users=True,
            body=TokenRenewal,
            gives={200: TokenIssued},
            refuses=(*_GONE, Code.BANNED),
        ),
    ]


def money_routes(handlers: MoneyHandlers) -> list[Route]:
    """Gifts, wallets and the ledger."""
    return [*_gift_routes(handlers), *_wallet_routes(handlers), *_ledger_routes(handlers)]


def _gift_routes(handlers: MoneyHandlers) -> list[Route]:
    return [
        Route(
            method="GET",
            path=f"{PREFIX}/gifts",
            operation="list_gifts",
            summary="The catalog; If-None-Match saves it.",
            handler=handlers.catalog,
            anybody=True,
            gives={200: GiftList, 304: None},
        ),
        Route(
            method="PUT",
            path=f"{PREFIX}/gifts/{{gift_id}}",
            operation="put_gift",
            summary="Add or change a gift.",
            handler=handlers.put_gift,
            scope="gifts",
            body=GiftFields,
            gives={200: CatalogGift, 201: CatalogGift},
            audit="money",
        ),
        Route(
            method="POST",
            path=f"{_ROOM}/gifts",
            operation="send_gift",
            summary="Pay a gift for users of the room, once per key. The room is told by the server.",
            handler=handlers.send,
            scope="gifts",
            users=True,
            body=GiftOrder,
            gives={201: GiftPaid, 200: GiftPaid},
            refuses=_PAYMENT,
            needs_key=True,
            # No audit of its own: the transaction is the record, and keeps more than a line of a log could.
        ),
        Route(
            method="GET",
            path=f"{PREFIX}/boards/{{board}}",
            operation="get_board",
            summary="Who leads: senders, recipients, rooms or agencies.",
            handler=handlers.board,
            anybody=True,
            names={"board": Board},
            query=BoardQuery,
            gives={200: BoardShown},
        ),
    ]


def agency_routes(handlers: AgencyHandlers) -> list[Route]:
    """Agencies and their members."""
    agency = f"{PREFIX}/agencies/{{agency_id}}"
    return [
        Route(
            method="PUT",
            path=agency,
            operation="put_agency",
            summary="Make an agency, or change what it takes.",
            handler=handlers.put,
            scope="agencies",
            body=AgencyTerms,
            gives={200: AgencyShown, 201: AgencyShown},
            audit="money",
        ),
        Route(
            method="PUT",
            path=f"{agency}/members/{{user_id}}",
            operation="put_agency_member",
            summary="Make a user a member of this agency and of no other, perhaps at a rate of its own.",
            handler=handlers.put_member,
            scope="agencies",
            body=MemberTerms,
            gives={200: MembershipShown, 201: MembershipShown},
            audit="money",
        ),
        Route(
            method="DELETE",
            path=f"{agency}/members/{{user_id}}",
            operation="drop_agency_member",
            summary="End a membership.",
            handler=handlers.drop_member,
            scope="agencies",
            gives={200: None},
            may_miss=True,
            audit="money",
        ),
    ]


def _wallet_routes(handlers: MoneyHandlers) -> list[Route]:
    user = f"{PREFIX}/users/{{user_id}}"
    return [
        Route(
            method="GET",
            path=f"{user}/wallet",
            operation="get_wallet",
            summary="Balances, experience and totals.",
            handler=handlers.wallet,
            scope="wallets",
            users=True,
            gives={200: Wallet},
        ),
        Route(
            method="GET",
            path=f"{user}/transactions",
            operation="list_transactions",
            summary="What moved a user's balances, latest first.",
            handler=handlers.transactions,
            scope="wallets",
            users=True,
            query=PageQuery,
            gives={200: MovementsPage},
        ),
        Route(
            method="POST",
            path=f"{user}/credits",
            operation="credit_user",
            summary="Money from outside, once per key and once per reference.",
            handler=handlers.credit,
            scope="credits",
            body=Credit,
            gives={201: Credited, 200: Credited},
            refuses=(Code.IDEMPOTENCY_MISMATCH, Code.CONFLICT),
            needs_key=True,
            audit="money",
        ),
    ]


def _ledger_routes(handlers: MoneyHandlers) -> list[Route]:
    transaction = f"{PREFIX}/transactions/{{transaction_id}}"
    return [
        Route(
            method="GET",
            path=transaction,
            operation="get_transaction",
            summary="One transaction with its parties.",
            handler=handlers.transaction,
            scope="transactions",
            gives={200: Transaction},
            may_miss=True,
        ),
        Route(
            method="POST",
            path=f"{transaction}/reverse",
            operation="reverse_transaction",
            summary="Take a transaction back by a compensating one, once.",
            handler=handlers.reverse,
            scope="transactions",
            body=Reversal,
            gives={201: Reversed, 200: Reversed},
            refuses=(Code.CONFLICT, Code.INSUFFICIENT_FUNDS),
            may_miss=True,
            audit="money",
        ),
    ]
