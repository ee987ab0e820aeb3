-- One transaction. $1 id
SELECT t.transaction_id, t.kind, t.owner_id, t.at_ms, t.amount, t.room_id, t.gift_id, t.price, t.quantity,
    t.recipients, t.currency, t.reason, t.reference, t.reversal_of,
    (SELECT r.transaction_id FROM ledger.transactions AS r WHERE r.reversal_of = t.transaction_id) AS reversed_by
FROM ledger.transactions AS t
WHERE t.transaction_id = $1
