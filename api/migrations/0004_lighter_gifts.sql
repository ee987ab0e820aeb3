-- ledger.send_gifts once more: the same arguments, answers and order of work, for less of the server's time, which
-- is what limits the gifts of a house. (The arguments are explained in 0002.)
--
-- Keys are looked for before anything is written, so a repeated gift costs one look-up and what is written needs
-- no ON CONFLICT. Another node may write one of the keys at this moment: the statement then waits for it and fails
-- on the index transactions_key, having moved nothing. Asked again it finds the key.
--
-- The system takes part in every gift with three of its accounts. These move along with the batch, so their
-- balances come from one running sum over the gifts; only those of users and agencies are sorted by account.

-- Which gifts cannot be paid: walks only the gifts of senders whose sum exceeds what their account holds. Who has
-- no account (a payer that is null) holds nothing.
DROP FUNCTION ledger.unaffordable(bigint[], bigint[], bigint[]);
CREATE FUNCTION ledger.unaffordable(payers bigint[], costs bigint[], accounts bigint[], balances bigint[])
RETURNS TABLE (refused_position integer, available bigint)
LANGUAGE plpgsql AS $$
DECLARE
    gift record;
    payer bigint;
    remaining bigint := 0;
BEGIN
    FOR gift IN
        SELECT g.position, g.payer, g.cost, poor.balance
        FROM (
            SELECT wanted.payer, coalesce(a.balance, 0) AS balance
            FROM (
                SELECT u.payer, ledger.total(u.cost) AS cost FROM unnest(payers, costs) AS u (payer, cost)
                WHERE u.cost IS NOT NULL
                GROUP BY u.payer
            ) AS wanted
            LEFT JOIN unnest(accounts, balances) AS a (account, balance) ON a.account = wanted.payer
            WHERE wanted.cost > coalesce(a.balance, 0)
        ) AS poor
        JOIN unnest(payers, costs) WITH ORDINALITY AS g (payer, cost, position)
            ON g.payer IS NOT DISTINCT FROM poor.payer AND g.cost IS NOT NULL
        ORDER BY g.payer, g.position
    LOOP
        IF payer IS DISTINCT FROM gift.payer THEN
            payer := gift.payer;
            remaining := gift.balance;
        END IF;
        IF gift.cost <= remaining THEN
            remaining := remaining - gift.cost;
        ELSE
            refused_position := gift.position;
            available := remaining;
            RETURN NEXT;
        END IF;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION ledger.send_gifts(
    at_ms bigint, shard smallint, recipient_bps integer,
    ids uuid[], senders text[], keys text[], fingerprints bytea[], rooms text[], gifts text[],
    prices bigint[], quantities integer[], recipients text[], wealths bigint[], charms bigint[], details text[]
) RETURNS TABLE (
    answered_position integer, outcome text, transaction_id uuid, total_cost bigint, balance bigint
)
LANGUAGE plpgsql
-- Plans are made once per connection, perhaps on empty tables, and must be right at any size: every look-up is
-- a subquery by key, which leaves the planner no other direction.
SET enable_seqscan = 'off'
SET plan_cache_mode = 'force_generic_plan'
SET jit = 'off'
AS $$
#variable_conflict use_column
DECLARE
    -- In the order of their ids, which are lower than all others: among the locked accounts they stand first.
    issuance CONSTANT bigint := ledger.system_account('issuance', 'diamonds', shard);
    sales CONSTANT bigint := ledger.system_account('platform', 'coins', shard);
    revenue CONSTANT bigint := ledger.system_account('platform', 'diamonds', shard);
    -- Aligned with the gifts. Known is the transaction that has the key already; the cost of a gift that will not
    -- be written is null.
    known uuid[];
    costs bigint[];
    payers bigint[];
    -- One element per gift and recipient:
    part_positions integer[];
    part_accounts bigint[];
    part_agencies bigint[];
    part_rates integer[];
    found boolean;
    -- The locked accounts as they were:
    accounts bigint[];
    opening_balances bigint[];
    opening_versions bigint[];
    refused record;
BEGIN
    -- 1. Write what is new.
    SELECT array_agg(g.known ORDER BY g.position),
        array_agg(CASE WHEN g.known IS NULL THEN g.cost END ORDER BY g.position)
    INTO known, costs
    FROM (
        SELECT u.position,
            u.price * u.quantity * cardinality(string_to_array(u.joined, ',')) AS cost,
            (SELECT t.transaction_id FROM ledger.transactions AS t
                WHERE t.owner_id = u.sender AND t.idempotency_key = u.key AND t.kind = 'gift') AS known
        FROM unnest(senders, keys, prices, quantities, recipients)
            WITH ORDINALITY AS u (sender, key, price, quantity, joined, position)
    ) AS g;

    INSERT INTO ledger.transactions (transaction_id, kind, owner_id, idempotency_key, fingerprint, at_ms,
        amount, room_id, gift_id, price, quantity, recipients, wealth_xp, charm_xp)
    SELECT id, 'gift', sender, key, fingerprint, at_ms, cost, room, gift, price, quantity,
        string_to_array(joined, ','), wealth, charm
    FROM unnest(ids, senders, keys, fingerprints, costs, rooms, gifts, prices, quantities, recipients, wealths,
        charms) AS g (id, sender, key, fingerprint, cost, room, gift, price, quantity, joined, wealth, charm)
    WHERE cost IS NOT NULL
    ORDER BY sender, key;

    INSERT INTO ledger.outbox (transaction_id, at_ms, detail)
    SELECT id, at_ms, detail FROM unnest(ids, details, costs) AS g (id, detail, cost)
    WHERE cost IS NOT NULL;

    -- 2. Find the accounts, make what is missing, lock in order.
    LOOP
        WITH people AS MATERIALIZED (
            SELECT p.user_id,
                (SELECT a.account_id FROM ledger.accounts AS a
                    WHERE a.owner_id = p.user_id AND a.currency = 'diamonds' AND a.kind = 'user'
                        AND a.shard = 0) AS account,
                m.agency_id, m.rate,
                (SELECT a.account_id FROM ledger.accounts AS a
                    WHERE a.owner_id = m.agency_id AND a.currency = 'diamonds' AND a.kind = 'agency'
                        AND a.shard = 0) AS agency
            FROM (
                SELECT DISTINCT r.user_id
                FROM unnest(recipients) AS g (joined), string_to_table(g.joined, ',') AS r (user_id)
            ) AS p
            LEFT JOIN LATERAL (
                SELECT m.agency_id, coalesce(m.commission_bps, (
                    SELECT c.commission_bps FROM ledger.agencies AS c WHERE c.agency_id = m.agency_id
                )) AS rate
                FROM ledger.agency_members AS m WHERE m.user_id = p.user_id OFFSET 0
            ) AS m ON true
        )
        SELECT array_agg(g.position::integer), array_agg(p.account), array_agg(p.agency), array_agg(p.rate),
            bool_and(p.account IS NOT NULL AND (p.agency_id IS NULL OR p.agency IS NOT NULL))
        INTO part_positions, part_accounts, part_agencies, part_rates, found
        FROM unnest(recipients) WITH ORDINALITY AS g (joined, position),
            string_to_table(g.joined, ',') AS r (user_id)
        JOIN people AS p ON p.user_id = r.user_id;
        EXIT WHEN found;
        PERFORM ledger.open_accounts(recipients);
    END LOOP;

    payers := ARRAY(
        SELECT (SELECT a.account_id FROM ledger.accounts AS a
            WHERE a.owner_id = g.sender AND a.currency = 'coins' AND a.kind = 'user' AND a.shard = 0)
        FROM unnest(senders) AS g (sender)
    );

    SELECT array_agg(a.account_id), array_agg(a.balance), array_agg(a.version)
    INTO accounts, opening_balances, opening_versions
    FROM (
        SELECT l.account_id, l.balance, l.version FROM ledger.accounts AS l
        WHERE l.account_id = ANY (payers || part_accounts || part_agencies || issuance || sales || revenue)
        ORDER BY l.account_id
        FOR NO KEY UPDATE
    ) AS a;

    -- 3. What can be paid.
    FOR refused IN SELECT * FROM ledger.unaffordable(payers, costs, accounts, opening_balances) LOOP
        answered_position := refused.refused_position;
        outcome := 'insufficient';
        transaction_id := NULL;
        total_cost := costs[answered_position];
        balance := refused.available;
        costs[answered_position] := NULL;
        DELETE FROM ledger.transactions AS t WHERE t.transaction_id = ids[answered_position];
        DELETE FROM ledger.outbox AS o WHERE o.transaction_id = ids[answered_position];
        RETURN NEXT;
    END LOOP;

    -- 4. Move.
    RETURN QUERY
    WITH parts AS MATERIALIZED (
        SELECT p.position, p.account, p.agency, g.gross, c.commission, s.share - c.commission AS earned
        FROM unnest(part_positions, part_accounts, part_agencies, part_rates)
            AS p (position, account, agency, rate)
        CROSS JOIN LATERAL (SELECT prices[p.position] * quantities[p.position] AS gross) AS g
        CROSS JOIN LATERAL (SELECT ledger.share(g.gross, recipient_bps) AS share) AS s
        CROSS JOIN LATERAL (
            SELECT CASE WHEN p.agency IS NULL THEN 0 ELSE ledger.share(s.share, p.rate) END AS commission
        ) AS c
        WHERE costs[p.position] IS NOT NULL
    ), paid AS MATERIALIZED (
        -- Kept is the platform's share; what was sold and kept, and in how many gifts, until this one.
        SELECT g.position::integer, g.id, g.payer, g.cost, g.wealth, g.kept,
            ledger.total(g.cost) OVER so_far AS all_sold, count(*) OVER so_far AS sold_times,
            ledger.total(g.kept) OVER so_far AS all_kept, count(*) FILTER (WHERE g.kept <> 0) OVER so_far AS kept_times
        FROM (
            SELECT u.position, u.id, u.payer, u.cost, u.wealth, u.cost - p.given AS kept
            FROM unnest(ids, payers, costs, wealths) WITH ORDINALITY AS u (id, payer, cost, wealth, position)
            JOIN (
                SELECT position, ledger.total(earned + commission) AS given FROM parts GROUP BY position
            ) AS p ON p.position = u.position
        ) AS g
        WINDOW so_far AS (ORDER BY g.position ROWS UNBOUNDED PRECEDING)
    ), legs AS MATERIALIZED (
        SELECT position, 1 AS number, id, payer AS account, -cost AS amount, wealth AS experience, cost AS total
        FROM paid
        UNION ALL
        SELECT position, 2, ids[position], account, earned, charms[position], gross FROM parts
        UNION ALL
        SELECT position, 3, ids[position], agency, commission, 0, gross FROM parts WHERE commission > 0
    ), moves AS MATERIALIZED (
        -- An account's first row is what was there: the running sum is then its balance.
        SELECT position, number, id, account, amount,
            ledger.total(amount) OVER running AS balance, ledger.total(step) OVER running AS version
        FROM (
            SELECT position, number, id, account, amount, 1::bigint AS step FROM legs WHERE amount <> 0
            UNION ALL
            SELECT 0, 0, NULL, account, balance, version
            FROM unnest(accounts, opening_balances, opening_versions) AS o (account, balance, version)
        ) AS all_moves
        WINDOW running AS (PARTITION BY account ORDER BY position, number ROWS UNBOUNDED PRECEDING)
    ), posted AS (
        INSERT INTO ledger.entries (transaction_id, account_id, version, amount, balance_before, balance_after)
        SELECT id, account, version, amount, balance - amount, balance FROM moves WHERE position > 0
        UNION ALL
        SELECT id, issuance, opening_versions[1] + sold_times, -cost,
            opening_balances[1] - all_sold + cost, opening_balances[1] - all_sold
        FROM paid
        UNION ALL
        SELECT id, sales, opening_versions[2] + sold_times, cost,
            opening_balances[2] + all_sold - cost, opening_balances[2] + all_sold
        FROM paid
        UNION ALL
        SELECT id, revenue, opening_versions[3] + kept_times, kept,
            opening_balances[3] + all_kept - kept, opening_balances[3] + all_kept
        FROM paid WHERE kept <> 0
    ), sums AS (
        SELECT account, ledger.total(amount) AS amount, count(*) FILTER (WHERE amount <> 0) AS steps,
            ledger.total(experience) AS experience, ledger.total(total) AS total
        FROM legs GROUP BY account
        UNION ALL
        SELECT issuance, -ledger.total(cost), count(*), 0, 0 FROM paid
        UNION ALL
        SELECT sales, ledger.total(cost), count(*), 0, 0 FROM paid
        UNION ALL
        SELECT revenue, ledger.total(kept), count(*), 0, 0 FROM paid WHERE kept <> 0
    ), changed AS (
        UPDATE ledger.accounts AS a
        SET balance = a.balance + s.amount, version = a.version + s.steps,
            experience = a.experience + s.experience, gift_total = a.gift_total + s.total
        FROM sums AS s
        WHERE a.account_id = s.account AND a.account_id = ANY (accounts)
    )
    SELECT m.position, 'accepted', m.id, -m.amount, m.balance
    FROM moves AS m
    WHERE m.number = 1;

    -- Keys that were known: paid before, or used for something else.
    IF EXISTS (SELECT FROM unnest(known) AS k (id) WHERE k.id IS NOT NULL) THEN
        RETURN QUERY
        SELECT k.position::integer,
            CASE WHEN t.fingerprint = fingerprints[k.position] THEN 'replayed' ELSE 'mismatch' END,
            t.transaction_id, t.amount, e.balance_after
        FROM unnest(known) WITH ORDINALITY AS k (id, position)
        JOIN ledger.transactions AS t ON t.transaction_id = k.id
        JOIN ledger.entries AS e
            ON e.transaction_id = k.id AND e.account_id = payers[k.position] AND e.account_id >= 1000;
    END IF;
END $$;
