-- Confidence: how sure the numbers are: reported by the provider, counted by us, or estimated from sizes; and
-- what has no known price, whose cost is 0 (unpriced).
-- Columns: confidence, attempts, cost_usd, share (of the cost).
-- Parameters: since, until (Unix seconds; until is not included), rollup (usage_minute, usage_hour or
-- usage_day), tenants, teams, keys, routes, models, backends (lists; an empty one is no filter).
SELECT
    confidence,
    attempts,
    cost_usd,
    if(whole = 0, NULL, round(toFloat64(cost_usd) / toFloat64(whole), 6)) AS share
FROM
(
    SELECT confidence, attempts, cost_usd, sum(cost_usd) OVER () AS whole
    FROM
    (
        SELECT
            if(u.price = '', 'unpriced', toString(u.confidence)) AS confidence,
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
            AND u.confidence != ''
        GROUP BY confidence
    )
)
WHERE attempts != 0 OR cost_usd != 0
ORDER BY indexOf(['reported', 'counted', 'estimated', 'unpriced'], confidence)
