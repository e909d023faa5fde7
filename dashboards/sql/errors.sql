-- Errors: how many calls were told an error over time, by its code.
-- Columns: time (Unix seconds of the step's beginning), error (code), calls.
-- Parameters: since, until (Unix seconds; until is not included), rollup (usage_minute, usage_hour or
-- usage_day), tenants, teams, keys, routes, models, backends (lists; an empty one is no filter), step
-- (seconds).
SELECT
    intDiv(toUnixTimestamp(u.time), {step:UInt32}) * {step:UInt32} AS time,
    toString(u.error) AS error,
    sum(u.calls) AS calls
FROM {rollup:Identifier} AS u
WHERE u.time >= toDateTime({since:UInt32}, 'UTC') AND u.time < toDateTime({until:UInt32}, 'UTC')
    AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, u.tenant))
    AND (empty({teams:Array(String)}) OR has({teams:Array(String)}, u.team))
    AND (empty({keys:Array(String)}) OR has({keys:Array(String)}, u.key))
    AND (empty({routes:Array(String)}) OR has({routes:Array(String)}, u.route))
    AND (empty({models:Array(String)}) OR has({models:Array(String)}, u.model))
    AND (empty({backends:Array(String)}) OR has({backends:Array(String)}, u.backend))
    AND u.error != ''
GROUP BY time, error
HAVING calls != 0
ORDER BY time, calls DESC, error
