-- The oldest transactions that are not told yet and that no other relay holds. They stay locked until the end
-- of the caller's database transaction. $1 how many, $2 those to leave alone
SELECT o.transaction_id, o.detail, t.kind, t.owner_id, t.at_ms, t.amount, t.room_id, t.gift_id, t.quantity,
    t.recipients, t.reversal_of, original.kind AS original_kind, original.at_ms AS original_at_ms,
    original.room_id AS original_room_id
FROM ledger.outbox AS o
JOIN ledger.transactions AS t ON t.transaction_id = o.transaction_id
LEFT JOIN ledger.transactions AS original ON original.transaction_id = t.reversal_of
WHERE o.transaction_id <> ALL ($2)
ORDER BY o.transaction_id
LIMIT $1
FOR UPDATE OF o SKIP LOCKED
