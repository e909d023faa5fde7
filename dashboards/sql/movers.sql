-- Movers: whose cost has changed most against the span of equal length before, up or down.
-- Columns: name, cost_usd, before_usd, change_usd, change_share (of the cost before; NULL where it was
-- nothing).
-- Parameters: since, until (Unix seconds; until is not included), rollup (usage_minute, usage_hour or
-- usage_day), tenants, teams, keys, routes, models, backends (lists; an empty one is no filter), before (Unix
-- seconds: where the span before begins), by1 (name of a column), limit.
WITH '' AS nothing
SELECT
    name,
    cost_usd,
    before_usd,
    cost_usd - before_usd AS change_usd,
    if(before_usd = 0, NULL, round(toFloat64(change_usd) / toFloat64(before_usd), 6)) AS change_share
FROM
(
    SELECT
        toString({by1:Identifier}) AS name,
        sumIf(u.cost, u.time >= toDateTime({since:UInt32}, 'UTC')) AS cost_usd,
        sumIf(u.cost, u.time < toDateTime({since:UInt32}, 'UTC')) AS before_usd
    FROM {rollup:Identifier} AS u
    WHERE u.time >= toDateTime({before:UInt32}, 'UTC') AND u.time < toDateTime({until:UInt32}, 'UTC')
        AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, u.tenant))
        AND (empty({teams:Array(String)}) OR has({teams:Array(String)}, u.team))
        AND (empty({keys:Array(String)}) OR has({keys:Array(String)}, u.key))
        AND (empty({routes:Array(String)}) OR has({routes:Array(String)}, u.route))
        AND (empty({models:Array(String)}) OR has({models:Array(String)}, u.model))
        AND (empty({backends:Array(String)}) OR has({backends:Array(String)}, u.backend))
    GROUP BY name
)
WHERE change_usd != 0
ORDER BY abs(change_usd) DESC, name
LIMIT {limit:UInt32}
