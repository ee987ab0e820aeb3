-- A batch of gifts; the arguments are those of the function (see the migration that defines it).
SELECT answered_position, outcome, transaction_id, total_cost, balance
FROM ledger.send_gifts($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
