-- What the boards must show: gifts from $1 until before $2, less those taken back, without what waits in the
-- outbox.
WITH told AS (
    SELECT t.transaction_id, t.owner_id, t.amount, t.room_id
    FROM ledger.transactions AS t
    WHERE t.kind = 'gift' AND t.at_ms >= $1 AND t.at_ms < $2
        AND NOT EXISTS (SELECT FROM ledger.outbox AS o WHERE o.transaction_id = t.transaction_id)
    UNION ALL
    SELECT r.transaction_id, r.owner_id, -r.amount, t.room_id
    FROM ledger.transactions AS r
    JOIN ledger.transactions AS t ON t.transaction_id = r.reversal_of
    WHERE r.kind = 'reversal' AND t.kind = 'gift' AND t.at_ms >= $1 AND t.at_ms < $2
        AND NOT EXISTS (SELECT FROM ledger.outbox AS o WHERE o.transaction_id = r.transaction_id)
)
SELECT 'senders' AS board, owner_id AS member, sum(amount)::bigint AS amount FROM told GROUP BY owner_id
UNION ALL
SELECT 'rooms', room_id, sum(amount)::bigint FROM told GROUP BY room_id
UNION ALL
SELECT CASE a.kind WHEN 'agency' THEN 'agencies' ELSE 'recipients' END, a.owner_id, sum(e.amount)::bigint
FROM told AS g
JOIN ledger.entries AS e ON e.transaction_id = g.transaction_id AND e.account_id >= 1000
JOIN ledger.accounts AS a ON a.account_id = e.account_id
WHERE a.currency = 'diamonds'
GROUP BY a.kind, a.owner_id
