-- Waste: what was paid for answers that nobody had anything of, and why: the attempt failed, its client had
-- left (cancelled), another one was faster (hedged), or it was for us alone (shadow).
-- Columns: waste, cause (the code of the attempt's error), attempts, cost_usd.
-- Parameters: since, until (Unix seconds; until is not included), rollup (usage_minute, usage_hour or
-- usage_day), tenants, teams, keys, routes, models, backends (lists; an empty one is no filter), limit.
SELECT
    toString(u.waste) AS waste,
    toString(u.cause) AS cause,
    sum(u.attempts) AS attempts,
    sum(u.cost) AS cost_usd
FROM {rollup:Identifier} AS u
WHERE u.time >= toDateTime({since:UInt32}, 'UTC') AND u.time < toDateTime({until:UInt32}, 'UTC')
    AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, u.tenant))
    AND (empty({teams:Array(String)}) OR has({teams:Array(String)}, u.team))
    AND (empty({keys:Array(String)}) OR has({keys:Array(String)}, u.key))
    AND (empty({routes:Array(String)}) OR has({routes:Array(String)}, u.route))
    AND (empty({models:Array(String)}) OR has({models:Array(String)}, u.model))
    AND (empty({backends:Array(String)}) OR has({backends:Array(String)}, u.backend))
    AND u.waste != ''
GROUP BY waste, cause
HAVING attempts != 0 OR cost_usd != 0
ORDER BY cost_usd DESC, attempts DESC, waste, cause
LIMIT {limit:UInt32}
