-- Series: what was used over time by one dimension; the names that cost most, and the rest as (other).
-- Columns: time (Unix seconds of the step's beginning), name, calls, errors, input_tokens, output_tokens,
-- cost_usd.
-- Parameters: since, until (Unix seconds; until is not included), rollup (usage_minute, usage_hour or
-- usage_day), tenants, teams, keys, routes, models, backends (lists; an empty one is no filter), by1 (name of
-- a column), step (seconds), limit (how many names).
WITH '' AS nothing, top AS
(
    SELECT toString({by1:Identifier}) AS name
    FROM {rollup:Identifier} AS u
    WHERE u.time >= toDateTime({since:UInt32}, 'UTC') AND u.time < toDateTime({until:UInt32}, 'UTC')
        AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, u.tenant))
        AND (empty({teams:Array(String)}) OR has({teams:Array(String)}, u.team))
        AND (empty({keys:Array(String)}) OR has({keys:Array(String)}, u.key))
        AND (empty({routes:Array(String)}) OR has({routes:Array(String)}, u.route))
        AND (empty({models:Array(String)}) OR has({models:Array(String)}, u.model))
        AND (empty({backends:Array(String)}) OR has({backends:Array(String)}, u.backend))
    GROUP BY name
    ORDER BY sum(u.cost) DESC, sum(u.calls) DESC, name
    LIMIT {limit:UInt32}
)
SELECT
    intDiv(toUnixTimestamp(u.time), {step:UInt32}) * {step:UInt32} AS time,
    if(toString({by1:Identifier}) IN (SELECT name FROM top), toString({by1:Identifier}), '(other)') AS name,
    sum(u.calls) AS calls,
    sumIf(u.calls, u.ending IN ('failed', 'broken', 'bug')) AS errors,
    sum(u.input_tokens) AS input_tokens,
    sum(u.output_tokens) AS output_tokens,
    sum(u.cost) AS cost_usd
FROM {rollup:Identifier} AS u
WHERE u.time >= toDateTime({since:UInt32}, 'UTC') AND u.time < toDateTime({until:UInt32}, 'UTC')
    AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, u.tenant))
    AND (empty({teams:Array(String)}) OR has({teams:Array(String)}, u.team))
    AND (empty({keys:Array(String)}) OR has({keys:Array(String)}, u.key))
    AND (empty({routes:Array(String)}) OR has({routes:Array(String)}, u.route))
    AND (empty({models:Array(String)}) OR has({models:Array(String)}, u.model))
    AND (empty({backends:Array(String)}) OR has({backends:Array(String)}, u.backend))
GROUP BY time, name
ORDER BY time, name = '(other)', cost_usd DESC, name
