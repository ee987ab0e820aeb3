-- What moved one account, latest first. $1 account, $2 transactions before this one, $3 how many
SELECT e.transaction_id, t.kind, t.at_ms, e.amount, e.balance_after, t.owner_id, t.room_id, t.gift_id, t.price,
    t.quantity, t.recipients, t.reason, t.reference, t.reversal_of
FROM ledger.entries AS e
JOIN ledger.transactions AS t ON t.transaction_id = e.transaction_id
WHERE e.account_id = $1 AND e.account_id >= 1000 AND e.transaction_id < $2
ORDER BY e.transaction_id DESC
LIMIT $3
