-- Burn-down: what was spent each day, and since the beginning of its calendar month (UTC), by one dimension.
-- Columns: time (Unix seconds of the day's beginning), name, cost_usd, running_usd.
-- Parameters: since, until (Unix seconds; until is not included), rollup (usage_minute, usage_hour or
-- usage_day), tenants, teams, keys, routes, models, backends (lists; an empty one is no filter), month (Unix
-- seconds: the beginning of the month in which `since` lies), by1 (name of a column), limit (how many names,
-- the dearest).
WITH '' AS nothing, top AS
(
    SELECT toString({by1:Identifier}) AS name
    FROM usage_day AS u
    WHERE u.time >= toDateTime({month:UInt32}, 'UTC') AND u.time < toDateTime({until:UInt32}, 'UTC')
        AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, u.tenant))
        AND (empty({teams:Array(String)}) OR has({teams:Array(String)}, u.team))
        AND (empty({keys:Array(String)}) OR has({keys:Array(String)}, u.key))
        AND (empty({routes:Array(String)}) OR has({routes:Array(String)}, u.route))
        AND (empty({models:Array(String)}) OR has({models:Array(String)}, u.model))
        AND (empty({backends:Array(String)}) OR has({backends:Array(String)}, u.backend))
    GROUP BY name
    ORDER BY sum(u.cost) DESC, name
    LIMIT {limit:UInt32}
)
SELECT time, name, cost_usd, running_usd
FROM
(
    SELECT
        time,
        name,
        cost_usd,
        sum(cost_usd) OVER
        (
            PARTITION BY name, toStartOfMonth(toDateTime(time, 'UTC'))
            ORDER BY time
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS running_usd
    FROM
    (
        SELECT toUnixTimestamp(u.time) AS time, toString({by1:Identifier}) AS name, sum(u.cost) AS cost_usd
        FROM usage_day AS u
        WHERE u.time >= toDateTime({month:UInt32}, 'UTC') AND u.time < toDateTime({until:UInt32}, 'UTC')
            AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, u.tenant))
            AND (empty({teams:Array(String)}) OR has({teams:Array(String)}, u.team))
            AND (empty({keys:Array(String)}) OR has({keys:Array(String)}, u.key))
            AND (empty({routes:Array(String)}) OR has({routes:Array(String)}, u.route))
            AND (empty({models:Array(String)}) OR has({models:Array(String)}, u.model))
            AND (empty({backends:Array(String)}) OR has({backends:Array(String)}, u.backend))
            AND toString({by1:Identifier}) IN (SELECT name FROM top)
        GROUP BY time, name
    )
)
WHERE time >= intDiv({since:UInt32}, 86400) * 86400
ORDER BY time, cost_usd DESC, name
