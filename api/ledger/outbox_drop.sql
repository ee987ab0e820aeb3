-- These have been told. $1 transaction ids
DELETE FROM ledger.outbox WHERE transaction_id = ANY ($1)
