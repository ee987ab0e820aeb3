-- What transactions moved on the accounts of users and agencies. $1 transaction ids
SELECT e.transaction_id, a.kind, a.owner_id, a.currency, e.amount, e.balance_after
FROM ledger.entries AS e
JOIN ledger.accounts AS a ON a.account_id = e.account_id
WHERE e.transaction_id = ANY ($1) AND e.account_id >= 1000
