-- Who did what. $1 time, $2 request, $3 caller, $4 operation, $5 target, $6 outcome
INSERT INTO ledger.audit (at_ms, request_id, caller, operation, target, outcome)
VALUES ($1, $2, $3, $4, $5, $6)
