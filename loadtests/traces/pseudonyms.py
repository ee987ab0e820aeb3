"""Ids become aliases and texts become other texts, so that a trace tells nothing of whom it was taken from.

An alias keeps the kind of the id ("u7" a user, "m12" a message) and equality: the same id is the same alias
all through one trace. Replaced texts keep length and equality; they are made with a secret that is thrown
away with the recording. Gift ids are names of goods, not of people, and stay.
"""

import hashlib
import secrets
from typing import Any

# Fields that hold ids, and the letter of their alias. Any other field that ends in "_id" gets "x".
ID_FIELDS = {
    "user_id": "u",
    "owner_id": "u",
    "sender_id": "u",
    "sender": "u",
    "by": "u",
    "recipients": "u",
    "mentions": "u",
    "active": "u",
    "room_id": "r",
    "message_id": "m",
    "reply_to": "m",
    "request_id": "q",
    "invite_id": "i",
    "transaction_id": "t",
    "combo_id": "b",
    "report_id": "p",
    "idempotency_key": "k",
    "cid": "k",
}
KEPT_IDS = frozenset({"gift_id"})
TEXT_FIELDS = frozenset(
    {"text", "name", "note", "announcement", "theme", "avatar", "background_url", "message", "reason"}
)
# Enumerations under the name of a text field.
KEPT_TEXTS = frozenset(
    {"kicked", "banned", "other_device", "token_expired", "room_closed", "left", "away", ""}
)
LETTERS = "abcdefghijklmnopqrstuvwxyz     "


class Pseudonyms:
    """The aliases of one recording. With `raw` everything stays as it is, ids included."""

    def __init__(self, raw: bool = False, salt: bytes | None = None):
        self.raw = raw
        self.salt = salt or secrets.token_bytes(16)
        self.aliases: dict[tuple[str, str], str] = {}
        self.counts: dict[str, int] = {}

    def alias(self, letter: str, identifier: str) -> str:
        if self.raw:
            return identifier
        known = self.aliases.get((letter, identifier))
        if known is None:
            self.counts[letter] = self.counts.get(letter, 0) + 1
            known = self.aliases[letter, identifier] = f"{letter}{self.counts[letter]}"
        return known

    def text(self, text: str) -> str:
        """Other letters, same length; the same text gives the same."""
        if self.raw or text in KEPT_TEXTS:
            return text
        stream = hashlib.shake_128(self.salt + text.encode()).digest(len(text))
        filler = "".join(LETTERS[byte % len(LETTERS)] for byte in stream)
        # A text of blanks only would be refused where the original was not.
        return "x" + filler[1:] if filler else filler

    def walk(self, value: Any, field: str = "") -> Any:
        """The same structure with ids and texts replaced, by the name of the field they stand in."""
        if isinstance(value, dict):
            return {key: self.walk(entry, key) for key, entry in value.items()}
        if isinstance(value, list):
            return [self.walk(entry, field) for entry in value]
        if not isinstance(value, str):
            return value
        if field in ID_FIELDS:
            return self.alias(ID_FIELDS[field], value)
        if field in KEPT_IDS:
            return value
        if field.endswith("_id"):
            return self.alias("x", value)
        return self.text(value) if field in TEXT_FIELDS else value
