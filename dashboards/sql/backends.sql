-- Backends: how each backend and model of it did. A failure is an attempt that ended with an error, unless its
-- client had left or another attempt was faster.
-- Columns: backend, model, attempts, failures, failure_share, first_token_p50_ms, first_token_p95_ms (of calls
-- it answered), attempt_p50_ms, attempt_p95_ms, output_per_s_p50, cost_usd.
-- Parameters: since, until (Unix seconds; until is not included), rollup (usage_minute, usage_hour or
-- usage_day), raw (1: single rows are kept for all of the span), tenants, teams, keys, routes, models,
-- backends (lists; an empty one is no filter), limit.
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
            AND u.backend != ''
    ) AS one_of,
    timed AS
    (
        SELECT
            toString(u.backend) AS backend,
            toString(u.model) AS model,
            quantilesBFloat16If(0.5, 0.9, 0.95, 0.99)(
                assumeNotNull(u.first_token_ms),
                isNotNull(u.first_token_ms) AND u.entry = 'charge' AND u.calls = 1
            ) AS first_token,
            quantilesBFloat16If(0.5, 0.9, 0.95, 0.99)(
                assumeNotNull(u.attempt_ms),
                isNotNull(u.attempt_ms) AND u.entry = 'charge' AND u.attempts = 1
            ) AS attempt_time,
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
            AND u.backend != ''
        GROUP BY backend, model
        UNION ALL
        SELECT
            toString(u.backend) AS backend,
            toString(u.model) AS model,
            quantilesBFloat16Merge(0.5, 0.9, 0.95, 0.99)(u.first_token_ms) AS first_token,
            quantilesBFloat16Merge(0.5, 0.9, 0.95, 0.99)(u.attempt_ms) AS attempt_time,
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
            AND u.backend != ''
        GROUP BY backend, model
    ),
    summed AS
    (
        SELECT
            toString(u.backend) AS backend,
            toString(u.model) AS model,
            sum(u.attempts) AS attempts,
            sumIf(u.attempts, u.cause != '' AND u.waste NOT IN ('cancelled', 'hedged')) AS failures,
            if(attempts <= 0, NULL, round(failures / attempts, 6)) AS failure_share,
            sum(u.cost) AS cost_usd
        FROM {rollup:Identifier} AS u
        WHERE u.time >= toDateTime({since:UInt32}, 'UTC') AND u.time < toDateTime({until:UInt32}, 'UTC')
            AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, u.tenant))
            AND (empty({teams:Array(String)}) OR has({teams:Array(String)}, u.team))
            AND (empty({keys:Array(String)}) OR has({keys:Array(String)}, u.key))
            AND (empty({routes:Array(String)}) OR has({routes:Array(String)}, u.route))
            AND (empty({models:Array(String)}) OR has({models:Array(String)}, u.model))
            AND (empty({backends:Array(String)}) OR has({backends:Array(String)}, u.backend))
            AND u.backend != ''
        GROUP BY backend, model
    )
SELECT
    s.backend AS backend,
    s.model AS model,
    s.attempts AS attempts,
    s.failures AS failures,
    s.failure_share AS failure_share,
    if(empty(t.first_token) OR isNaN(t.first_token[1]), NULL, round(toFloat64(t.first_token[1]), 1))
        AS first_token_p50_ms,
    if(empty(t.first_token) OR isNaN(t.first_token[3]), NULL, round(toFloat64(t.first_token[3]), 1))
        AS first_token_p95_ms,
    if(empty(t.attempt_time) OR isNaN(t.attempt_time[1]), NULL, round(toFloat64(t.attempt_time[1]), 1))
        AS attempt_p50_ms,
    if(empty(t.attempt_time) OR isNaN(t.attempt_time[3]), NULL, round(toFloat64(t.attempt_time[3]), 1))
        AS attempt_p95_ms,
    if(empty(t.output_rate) OR isNaN(t.output_rate[1]), NULL, round(toFloat64(t.output_rate[1]), 1))
        AS output_per_s_p50,
    s.cost_usd AS cost_usd
FROM summed AS s
LEFT JOIN timed AS t USING (backend, model)
ORDER BY attempts DESC, cost_usd DESC, backend, model
LIMIT {limit:UInt32}
