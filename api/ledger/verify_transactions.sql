-- Transactions that do not sum to zero in each currency.
SELECT format('transaction %s sums to %s %s', e.transaction_id, sum(e.amount), a.currency) AS fault
FROM ledger.entries AS e
JOIN ledger.accounts AS a ON a.account_id = e.account_id
GROUP BY e.transaction_id, a.currency
HAVING sum(e.amount) <> 0
LIMIT 20
