-- Latency: how long calls took over time: to the first token, to the end (both from the call's beginning), and
-- how fast answers were written.
-- Columns: time (Unix seconds of the step's beginning), first_token_p50_ms, first_token_p95_ms,
-- first_token_p99_ms, total_p50_ms, total_p95_ms, total_p99_ms, output_per_s_p50.
-- Parameters: since, until (Unix seconds; until is not included), rollup (usage_minute, usage_hour or
-- usage_day), raw (1: single rows are kept for all of the span), tenants, teams, keys, routes, models,
-- backends (lists; an empty one is no filter), step
-- (seconds).
WITH
    -- Single rows are quicker to read than the states of rollups, and of millions of them a part is enough.
    (
        SELECT toUInt32(greatest(intDiv(sum(u.attempts), 1000000), 1))
        FROM {rollup:Identifier} AS u
        WHERE {raw:UInt8} = 1
            AND u.time >= toDateTime({since:UInt32}, 'UTC') AND u.time < toDateTime({until:UInt32}, 'UTC')
            AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, u.tenant))
            AND (empty({teams:Array(String)}) OR has({teams:Array(String)}, u.team))
            AND (empty({keys:Array(String)}) OR has({keys:Array(String)}, u.key))
            AND (empty({routes:Array(String)}) OR has({routes:Array(String)}, u.route))
            AND (empty({models:Array(String)}) OR has({models:Array(String)}, u.model))
            AND (empty({backends:Array(String)}) OR has({backends:Array(String)}, u.backend))
    ) AS one_of,
    timed AS
    (
        SELECT
            intDiv(toUnixTimestamp(u.time), {step:UInt32}) * {step:UInt32} AS time,
            quantilesBFloat16If(0.5, 0.9, 0.95, 0.99)(
                assumeNotNull(u.first_token_ms),
                isNotNull(u.first_token_ms) AND u.entry = 'charge' AND u.calls = 1
            ) AS first_token,
            quantilesBFloat16If(0.5, 0.9, 0.95, 0.99)(
                assumeNotNull(u.total_ms),
                isNotNull(u.total_ms) AND u.entry = 'charge' AND u.calls = 1
            ) AS total,
            quantilesBFloat16If(0.5, 0.9, 0.95, 0.99)(
                assumeNotNull(u.output_per_s),
                isNotNull(u.output_per_s) AND u.entry = 'charge' AND u.attempts = 1
            ) AS output_rate
        FROM ledger AS u
        WHERE {raw:UInt8} = 1
            AND (one_of = 1 OR intHash32(toUnixTimestamp64Milli(u.time)) % one_of = 0)
            AND u.time >= toDateTime({since:UInt32}, 'UTC') AND u.time < toDateTime({until:UInt32}, 'UTC')
            AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, u.tenant))
            AND (empty({teams:Array(String)}) OR has({teams:Array(String)}, u.team))
            AND (empty({keys:Array(String)}) OR has({keys:Array(String)}, u.key))
            AND (empty({routes:Array(String)}) OR has({routes:Array(String)}, u.route))
            AND (empty({models:Array(String)}) OR has({models:Array(String)}, u.model))
            AND (empty({backends:Array(String)}) OR has({backends:Array(String)}, u.backend))
        GROUP BY time
        UNION ALL
        SELECT
            intDiv(toUnixTimestamp(u.time), {step:UInt32}) * {step:UInt32} AS time,
            quantilesBFloat16Merge(0.5, 0.9, 0.95, 0.99)(u.first_token_ms) AS first_token,
            quantilesBFloat16Merge(0.5, 0.9, 0.95, 0.99)(u.total_ms) AS total,
            quantilesBFloat16Merge(0.5, 0.9, 0.95, 0.99)(u.output_per_s) AS output_rate
        FROM {rollup:Identifier} AS u
        WHERE {raw:UInt8} = 0
            AND u.time >= toDateTime({since:UInt32}, 'UTC') AND u.time < toDateTime({until:UInt32}, 'UTC')
            AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, u.tenant))
            AND (empty({teams:Array(String)}) OR has({teams:Array(String)}, u.team))
            AND (empty({keys:Array(String)}) OR has({keys:Array(String)}, u.key))
            AND (empty({routes:Array(String)}) OR has({routes:Array(String)}, u.route))
            AND (empty({models:Array(String)}) OR has({models:Array(String)}, u.model))
            AND (empty({backends:Array(String)}) OR has({backends:Array(String)}, u.backend))
        GROUP BY time
    )
SELECT
    t.time AS time,
    if(empty(t.first_token) OR isNaN(t.first_token[1]), NULL, round(toFloat64(t.first_token[1]), 1))
        AS first_token_p50_ms,
    if(empty(t.first_token) OR isNaN(t.first_token[3]), NULL, round(toFloat64(t.first_token[3]), 1))
        AS first_token_p95_ms,
    if(empty(t.first_token) OR isNaN(t.first_token[4]), NULL, round(toFloat64(t.first_token[4]), 1))
        AS first_token_p99_ms,
    if(empty(t.total) OR isNaN(t.total[1]), NULL, round(toFloat64(t.total[1]), 1))
        AS total_p50_ms,
    if(empty(t.total) OR isNaN(t.total[3]), NULL, round(toFloat64(t.total[3]), 1))
        AS total_p95_ms,
    if(empty(t.total) OR isNaN(t.total[4]), NULL, round(toFloat64(t.total[4]), 1))
        AS total_p99_ms,
    if(empty(t.output_rate) OR isNaN(t.output_rate[1]), NULL, round(toFloat64(t.output_rate[1]), 1))
        AS output_per_s_p50
FROM timed AS t
ORDER BY time
