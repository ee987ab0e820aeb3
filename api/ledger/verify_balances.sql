-- Accounts whose balance is not the sum of their entries, or which went below zero.
SELECT format('account %s (%s %s %s) has balance %s at version %s, its entries make %s at %s', a.account_id, a.kind,
    a.owner_id, a.currency, a.balance, a.version, coalesce(e.amount, 0), coalesce(e.entries, 0)) AS fault
FROM ledger.accounts AS a
LEFT JOIN (
    SELECT account_id, sum(amount) AS amount, count(*) AS entries FROM ledger.entries GROUP BY account_id
) AS e ON e.account_id = a.account_id
WHERE a.balance <> coalesce(e.amount, 0) OR a.version <> coalesce(e.entries, 0)
    OR (a.balance < 0 AND a.kind IN ('user', 'agency'))
UNION ALL
SELECT format('the platform has %s %s', sum(a.balance), a.currency)
FROM ledger.accounts AS a
WHERE a.kind = 'platform'
GROUP BY a.currency
HAVING sum(a.balance) < 0
LIMIT 20
