-- An agency and what it takes of its members' earnings. $1 agency, $2 commission in basis points
INSERT INTO ledger.agencies (agency_id, commission_bps)
VALUES ($1, $2)
ON CONFLICT (agency_id) DO UPDATE SET commission_bps = excluded.commission_bps
RETURNING xmax = 0 AS created
