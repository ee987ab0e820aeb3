-- Transactions that the entries do not bear out, and entries of no transaction.
WITH moved AS (
    SELECT e.transaction_id,
        -sum(e.amount) FILTER (WHERE a.kind = 'user' AND a.currency = 'coins') AS paid,
        sum(e.amount) FILTER (WHERE a.currency = 'diamonds' AND a.kind <> 'issuance') AS earned
    FROM ledger.entries AS e
    JOIN ledger.accounts AS a ON a.account_id = e.account_id
    GROUP BY e.transaction_id
)
SELECT format('%s %s of %s moved %s coins and %s diamonds', coalesce(t.kind, 'no transaction'),
    coalesce(t.transaction_id, m.transaction_id), t.amount, m.paid, m.earned) AS fault
FROM ledger.transactions AS t
FULL JOIN moved AS m ON m.transaction_id = t.transaction_id
WHERE t.transaction_id IS NULL OR m.transaction_id IS NULL
    OR (t.kind = 'gift' AND (
        t.amount <> t.price * t.quantity * cardinality(t.recipients)
        OR m.paid IS DISTINCT FROM t.amount OR m.earned IS DISTINCT FROM t.amount))
UNION ALL
SELECT format('the outbox holds %s, which is no transaction', o.transaction_id)
FROM ledger.outbox AS o
WHERE NOT EXISTS (SELECT FROM ledger.transactions AS t WHERE t.transaction_id = o.transaction_id)
LIMIT 20
