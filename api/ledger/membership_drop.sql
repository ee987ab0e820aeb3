-- A user leaves an agency. $1 user, $2 agency
DELETE FROM ledger.agency_members WHERE user_id = $1 AND agency_id = $2 RETURNING user_id
