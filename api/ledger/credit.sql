-- Money from outside comes in, once per idempotency key and once per reference.
-- $1 time, $2 shard, $3 id, $4 user, $5 key, $6 fingerprint, $7 currency, $8 amount, $9 reason, $10 reference
SELECT outcome, transaction_id, amount_credited, balance
FROM ledger.credit($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
