-- The accounts of users. $1 user ids
SELECT owner_id, currency, balance, experience, gift_total
FROM ledger.accounts
WHERE owner_id = ANY ($1) AND kind = 'user' AND shard = 0
