-- Under which numbers a user's accounts stand. $1 user
SELECT account_id, currency FROM ledger.accounts WHERE owner_id = $1 AND kind = 'user' AND shard = 0
