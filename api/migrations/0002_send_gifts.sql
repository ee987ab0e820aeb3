-- ledger.send_gifts: writes a batch of gifts in one call and answers each of them.
--
-- The order of work decides its correctness under READ COMMITTED, and how much two batches can do side by side:
--   1. the transactions are written, in the order of their keys; a key that exists is left alone, and one that
--      another batch is writing is waited for. Who got its row in is alone with its key from here on;
--   2. accounts that are missing are made, and all accounts concerned are locked in the order of their ids. So
--      locks are taken as keys first, accounts second, each in one order: batches can not block each other in a
--      circle, and nobody waits for an account while rows are written that need none;
--   3. gifts a sender cannot afford are refused in order: a dear gift is refused, a cheaper later one may pass;
--      their transactions are taken away again, before anybody could see them;
--   4. one statement moves the accounts. Balances before and after come from a running sum per account.
-- Nothing here is decided per gift by a caller: prices come in from the catalog, shares are computed below.
--
-- Arguments (arrays of equal length, one element per gift; keys of one sender are distinct in a batch):
--   at_ms         the time of the batch
--   shard         which of the platform's accounts this writer uses
--   recipient_bps the recipients' share of a gift's value in basis points
--   ids, senders, keys, fingerprints, rooms, gifts, prices, quantities
--   recipients    one text per gift: user ids joined by commas (ids have no commas)
--   wealths, charms  experience for the sender in all, and for each recipient
--   details       what the announcement shows, as JSON
-- Result: a row per gift with `position` from 1, outcome accepted | replayed | mismatch | insufficient,
--   the transaction, its cost, and the sender's balance after it (insufficient: what was there).

-- Floor of whole * basis_points / 10000 without a product that could overflow.
CREATE FUNCTION ledger.share(whole bigint, basis_points integer) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (whole / 10000) * basis_points + ((whole % 10000) * basis_points) / 10000;

-- A sum that stays in 64 bits, and fails beyond: PostgreSQL's own widens to numeric, which costs more than the
-- rest of a payment's arithmetic.
CREATE AGGREGATE ledger.total(bigint) (sfunc = int8pl, stype = bigint, initcond = '0', parallel = safe);

-- Which gifts cannot be paid: walks only the gifts of senders whose sum exceeds their balance.
CREATE FUNCTION ledger.unaffordable(payers bigint[], costs bigint[], balances bigint[])
RETURNS TABLE (refused_position integer, available bigint)
LANGUAGE plpgsql AS $$
DECLARE
    gift record;
    payer bigint := NULL;
    remaining bigint;
BEGIN
    FOR gift IN
        SELECT g.position, g.payer, g.cost, g.balance
        FROM (
            SELECT u.ordinality AS position, u.payer, u.cost, u.balance,
                sum(u.cost) OVER (PARTITION BY u.payer) AS wanted
            FROM unnest(payers, costs, balances) WITH ORDINALITY AS u (payer, cost, balance, ordinality)
            WHERE u.cost IS NOT NULL
        ) AS g
        WHERE g.payer IS NULL OR g.wanted > g.balance
        ORDER BY g.payer, g.position
    LOOP
        IF gift.payer IS NULL THEN
            refused_position := gift.position;
            available := 0;
            RETURN NEXT;
            CONTINUE;
        END IF;
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

-- Accounts of recipients and their agencies that earn for the first time, in a fixed order.
CREATE FUNCTION ledger.open_accounts(recipients text[]) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO ledger.accounts (kind, owner_id, currency)
    SELECT wanted.kind, wanted.owner_id, 'diamonds'
    FROM (
        SELECT 'user' AS kind, r.user_id AS owner_id
        FROM unnest(recipients) AS u (joined), string_to_table(u.joined, ',') AS r (user_id)
        UNION
        SELECT 'agency', m.agency_id
        FROM unnest(recipients) AS u (joined), string_to_table(u.joined, ',') AS r (user_id)
        JOIN ledger.agency_members AS m ON m.user_id = r.user_id
    ) AS wanted
    ORDER BY 1, 2
    ON CONFLICT DO NOTHING
$$;

CREATE FUNCTION ledger.send_gifts(
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
    sales CONSTANT bigint := ledger.system_account('platform', 'coins', shard);
    revenue CONSTANT bigint := ledger.system_account('platform', 'diamonds', shard);
    issuance CONSTANT bigint := ledger.system_account('issuance', 'diamonds', shard);
    -- Aligned with the gifts; the cost of a gift that will not be written is null.
    payers bigint[];
    balances bigint[];
    costs bigint[];
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
    -- Whether this call decides the gift; else an earlier one has.
    answered boolean[];
    refused record;
BEGIN
    -- 1. Write what is new.
    WITH fresh AS (
        INSERT INTO ledger.transactions (transaction_id, kind, owner_id, idempotency_key, fingerprint, at_ms,
            amount, room_id, gift_id, price, quantity, recipients, wealth_xp, charm_xp)
        SELECT id, 'gift', sender, key, fingerprint, at_ms, price * quantity * cardinality(r.users), room, gift,
            price, quantity, r.users, wealth, charm
        FROM unnest(ids, senders, keys, fingerprints, rooms, gifts, prices, quantities, recipients, wealths,
            charms) AS g (id, sender, key, fingerprint, room, gift, price, quantity, joined, wealth, charm)
        CROSS JOIN LATERAL (SELECT string_to_array(g.joined, ',') AS users) AS r
        ORDER BY sender, key
        ON CONFLICT (owner_id, idempotency_key, kind) DO NOTHING
        RETURNING transaction_id, amount
    )
    SELECT array_agg(f.amount ORDER BY g.position)
    INTO costs
    FROM unnest(ids) WITH ORDINALITY AS g (id, position)
    LEFT JOIN fresh AS f ON f.transaction_id = g.id;

    answered := ARRAY(SELECT u.cost IS NOT NULL FROM unnest(costs) AS u (cost));

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

    SELECT array_agg((
        SELECT a.account_id FROM ledger.accounts AS a
        WHERE a.owner_id = g.sender AND a.currency = 'coins' AND a.kind = 'user' AND a.shard = 0
    ) ORDER BY g.position)
    INTO payers
    FROM unnest(senders) WITH ORDINALITY AS g (sender, position);

    SELECT array_agg(a.account_id), array_agg(a.balance), array_agg(a.version)
    INTO accounts, opening_balances, opening_versions
    FROM (
        SELECT l.account_id, l.balance, l.version FROM ledger.accounts AS l
        WHERE l.account_id = ANY (payers || part_accounts || part_agencies || sales || revenue || issuance)
        ORDER BY l.account_id
        FOR NO KEY UPDATE
    ) AS a;

    -- 3. What can be paid.
    SELECT array_agg(a.balance ORDER BY g.position)
    INTO balances
    FROM unnest(payers) WITH ORDINALITY AS g (payer, position)
    LEFT JOIN unnest(accounts, opening_balances) AS a (account, balance) ON a.account = g.payer;

    FOR refused IN SELECT * FROM ledger.unaffordable(payers, costs, balances) LOOP
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
        SELECT p.position, ids[p.position] AS id, p.account, p.agency, c.commission,
            g.gross, s.share - c.commission AS earned, charms[p.position] AS charm
        FROM unnest(part_positions, part_accounts, part_agencies, part_rates)
            AS p (position, account, agency, rate)
        CROSS JOIN LATERAL (SELECT prices[p.position] * quantities[p.position] AS gross) AS g
        CROSS JOIN LATERAL (SELECT ledger.share(g.gross, recipient_bps) AS share) AS s
        CROSS JOIN LATERAL (
            SELECT CASE WHEN p.agency IS NULL THEN 0 ELSE ledger.share(s.share, p.rate) END AS commission
        ) AS c
        WHERE costs[p.position] IS NOT NULL
    ), legs AS MATERIALIZED (
        SELECT g.position::integer, leg.number, g.id, leg.account, leg.amount, leg.experience, leg.total
        FROM unnest(ids, payers, costs, wealths) WITH ORDINALITY AS g (id, payer, cost, wealth, position)
        CROSS JOIN LATERAL (VALUES
            (1, g.payer, -g.cost, g.wealth, g.cost), (2, sales, g.cost, 0, 0), (3, issuance, -g.cost, 0, 0)
        ) AS leg (number, account, amount, experience, total)
        WHERE g.cost IS NOT NULL
        UNION ALL
        SELECT position, 4, id, account, earned, charm, gross FROM parts
        UNION ALL
        SELECT position, 5, id, agency, commission, 0, gross FROM parts WHERE commission > 0
        UNION ALL
        SELECT position, 6, id, revenue, ledger.total(gross - earned - commission), 0, 0
        FROM parts GROUP BY position, id
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
        SELECT id, account, version, amount, balance - amount, balance
        FROM moves
        WHERE position > 0
    ), changed AS (
        UPDATE ledger.accounts AS a
        SET balance = a.balance + s.amount, version = a.version + s.steps,
            experience = a.experience + s.experience, gift_total = a.gift_total + s.total
        FROM (
            SELECT account, ledger.total(amount) AS amount, count(*) FILTER (WHERE amount <> 0) AS steps,
                ledger.total(experience) AS experience, ledger.total(total) AS total
            FROM legs GROUP BY account
        ) AS s
        WHERE a.account_id = s.account AND a.account_id = ANY (accounts)
    )
    SELECT m.position, 'accepted', m.id, -m.amount, m.balance
    FROM moves AS m
    WHERE m.number = 1;

    -- Whose transaction was not written by us, and who was not refused above: its key was known.
    IF (SELECT bool_and(a.is_answered) FROM unnest(answered) AS a (is_answered)) THEN
        RETURN;
    END IF;
    RETURN QUERY
    SELECT k.position::integer,
        CASE WHEN t.fingerprint = fingerprints[k.position] THEN 'replayed' ELSE 'mismatch' END,
        t.transaction_id, t.amount, e.balance_after
    FROM unnest(answered) WITH ORDINALITY AS k (is_answered, position)
    JOIN ledger.transactions AS t
        ON t.owner_id = senders[k.position] AND t.idempotency_key = keys[k.position] AND t.kind = 'gift'
    JOIN ledger.entries AS e ON e.transaction_id = t.transaction_id AND e.account_id = payers[k.position]
    WHERE NOT k.is_answered;
END $$;
