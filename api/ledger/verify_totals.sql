-- Senders whose total or experience is not what their gifts, without those taken back, make.
SELECT format('%s has spent %s for %s experience, the gifts make %s and %s', a.owner_id, a.gift_total, a.experience,
    coalesce(g.amount, 0), coalesce(g.experience, 0)) AS fault
FROM ledger.accounts AS a
LEFT JOIN (
    SELECT t.owner_id, sum(t.amount) AS amount, sum(t.wealth_xp) AS experience
    FROM ledger.transactions AS t
    WHERE t.kind = 'gift'
        AND NOT EXISTS (SELECT FROM ledger.transactions AS r WHERE r.reversal_of = t.transaction_id)
    GROUP BY t.owner_id
) AS g ON g.owner_id = a.owner_id
WHERE a.kind = 'user' AND a.currency = 'coins'
    AND (a.gift_total <> coalesce(g.amount, 0) OR a.experience <> coalesce(g.experience, 0))
LIMIT 20
