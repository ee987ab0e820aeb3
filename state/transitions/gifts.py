"""Gifts as the room sees them: announced from a committed row, counted into combos."""

from state import limits
from state.commands import AnnounceGift
from state.events import ComboShown, Event, GiftSent
from state.room import Combo
from state.transitions.context import Context, Outcome, decided
from state.transitions.house import combo_ended

# An animation that comes this late is over: the gift is counted, but nobody should play it.
_STALE_MS = 10_000


def announce(context: Context, command: AnnounceGift) -> Outcome:
    """Tell the room, with the absolute count of the combo that this gift belongs to."""
    events: list[Event] = []
    combo = None
    if command.combo_window_ms:
        combo = _combo(context, command, command.combo_window_ms, events)
    late = command.committed_at is not None and context.now - command.committed_at > _STALE_MS
    start = command.committed_at if late and command.committed_at is not None else context.now
    events.append(
        GiftSent(
            transaction_id=command.transaction_id,
            sender=command.sender,
            gift=command.gift,
            quantity=command.quantity,
            recipients=tuple(command.recipients),
            total_cost=command.total_cost,
            combo=combo,
            play_at=start + limits.PLAY_LEAD_MS,
        )
    )
    if combo is None:
        return decided(events)
    shown = {"combo_id": combo.combo_id, "count": combo.count, "ends_at": combo.ends_at}
    return decided(events, combo=shown)


def _combo(context: Context, command: AnnounceGift, window_ms: int, events: list[Event]) -> ComboShown | None:
    items = command.quantity * len(command.recipients)
    ends_at = context.now + window_ms
    for running in context.room.combos:
        if not _continues(running, command):
            continue
        if running.ends_at > context.now:
            return ComboShown(running.combo_id, running.count + 1, running.total_quantity + items, ends_at)
        events.append(combo_ended(running))
    if len(context.room.combos) >= limits.COMBOS_MAX:
        return None
    return ComboShown(context.next_id(len(events)), 1, items, ends_at)


def _continues(combo: Combo, command: AnnounceGift) -> bool:
    return (
        combo.sender_id == command.sender.user_id
        and combo.gift_id == command.gift.gift_id
        and combo.quantity == command.quantity
        and combo.recipients == tuple(sorted(command.recipients))
    )
