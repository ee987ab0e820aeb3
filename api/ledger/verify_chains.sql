-- Entries that do not go on from where the entry before them left the account, and entries of no account.
SELECT format('entry %s of account %s starts at %s, the one before ended at %s', c.version, c.account_id,
    c.balance_before, c.ended) AS fault
FROM (
    SELECT e.account_id, e.version, e.balance_before,
        lag(e.balance_after, 1, 0::bigint) OVER (PARTITION BY e.account_id ORDER BY e.version) AS ended,
        row_number() OVER (PARTITION BY e.account_id ORDER BY e.version) AS place
    FROM ledger.entries AS e
) AS c
LEFT JOIN ledger.accounts AS a ON a.account_id = c.account_id
WHERE c.balance_before <> c.ended OR c.version <> c.place OR a.account_id IS NULL
LIMIT 20
