-- The gift a sender paid under a key. $1 sender, $2 key
SELECT t.transaction_id, t.fingerprint, t.amount, e.balance_after
FROM ledger.transactions AS t
JOIN ledger.accounts AS a
    ON a.owner_id = t.owner_id AND a.currency = 'coins' AND a.kind = 'user' AND a.shard = 0
JOIN ledger.entries AS e
    ON e.transaction_id = t.transaction_id AND e.account_id = a.account_id AND e.account_id >= 1000
WHERE t.owner_id = $1 AND t.idempotency_key = $2 AND t.kind = 'gift'
