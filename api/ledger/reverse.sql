-- Takes a transaction back by a compensating one, once.
-- $1 time, $2 shard, $3 id of the reversal, $4 transaction, $5 reason
SELECT outcome, transaction_id FROM ledger.reverse($1, $2, $3, $4, $5)
