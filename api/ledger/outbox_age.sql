-- How long the oldest untold transaction waits, and how many there are. $1 now
SELECT coalesce($1 - (SELECT at_ms FROM ledger.outbox ORDER BY transaction_id LIMIT 1), 0) AS age_ms,
    (SELECT count(*) FROM ledger.outbox) AS waiting
