-- A user joins an agency (or leaves another one for it), perhaps at a rate of its own.
-- $1 user, $2 agency, $3 commission in basis points or null
WITH agency AS (
    INSERT INTO ledger.agencies (agency_id) VALUES ($2) ON CONFLICT DO NOTHING
)
INSERT INTO ledger.agency_members (user_id, agency_id, commission_bps)
VALUES ($1, $2, $3)
ON CONFLICT (user_id) DO UPDATE SET agency_id = excluded.agency_id, commission_bps = excluded.commission_bps
RETURNING xmax = 0 AS created
