-- Users: what each user of the applications has used, the dearest first; those that no user was named for are
-- left out. Of the raw rows: the span is exact.
-- Columns: user, calls, errors, input_tokens, output_tokens, cost_usd, conversations, last (Unix seconds).
-- Parameters: since, until (Unix seconds; until is not included), tenants, teams, keys, routes, models,
-- backends (lists; an empty one is no filter), limit.
WITH top AS
(
    SELECT u.user AS name
    FROM ledger AS u
    WHERE u.time >= toDateTime({since:UInt32}, 'UTC') AND u.time < toDateTime({until:UInt32}, 'UTC')
        AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, u.tenant))
        AND (empty({teams:Array(String)}) OR has({teams:Array(String)}, u.team))
        AND (empty({keys:Array(String)}) OR has({keys:Array(String)}, u.key))
        AND (empty({routes:Array(String)}) OR has({routes:Array(String)}, u.route))
        AND (empty({models:Array(String)}) OR has({models:Array(String)}, u.model))
        AND (empty({backends:Array(String)}) OR has({backends:Array(String)}, u.backend))
        AND u.user != ''
    GROUP BY name
    ORDER BY sum(u.cost) DESC, sum(u.calls) DESC, name
    LIMIT {limit:UInt32}
)
SELECT
    u.user AS user,
    sum(u.calls) AS calls,
    sumIf(u.calls, u.ending IN ('failed', 'broken', 'bug')) AS errors,
    sum(u.input_tokens) AS input_tokens,
    sum(u.output_tokens) AS output_tokens,
    sum(u.cost) AS cost_usd,
    uniqIf(u.conversation, u.conversation != '') AS conversations,
    toUnixTimestamp(max(u.time)) AS last
FROM ledger AS u
WHERE u.time >= toDateTime({since:UInt32}, 'UTC') AND u.time < toDateTime({until:UInt32}, 'UTC')
    AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, u.tenant))
    AND (empty({teams:Array(String)}) OR has({teams:Array(String)}, u.team))
    AND (empty({keys:Array(String)}) OR has({keys:Array(String)}, u.key))
    AND (empty({routes:Array(String)}) OR has({routes:Array(String)}, u.route))
    AND (empty({models:Array(String)}) OR has({models:Array(String)}, u.model))
    AND (empty({backends:Array(String)}) OR has({backends:Array(String)}, u.backend))
    AND u.user != ''
    AND u.user IN (SELECT name FROM top)
GROUP BY user
ORDER BY cost_usd DESC, calls DESC, user
