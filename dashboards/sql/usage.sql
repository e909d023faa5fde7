-- Usage: what was used and what it cost, by any dimensions, in steps of time or in one.
-- Columns: time (Unix seconds of the step's beginning), name1 .. name8 (values of the dimensions), measures.
-- Parameters: since, until (Unix seconds; until is not included), rollup (usage_minute, usage_hour or
-- usage_day), raw (1: single rows are kept for all of the span), tenants, teams, keys, routes, models,
-- backends (lists; an empty one is no filter), by1 .. by8
-- (names of columns, `nothing` for none), step (seconds; 0: no steps), limit.
WITH
    -- Of the same states as all conversations: each is merged once.
    u.ending = 'finished' AND u.calls > 0 AS is_good,
    '' AS nothing,
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
            if(
                {step:UInt32} = 0,
                0,
                intDiv(toUnixTimestamp(u.time), greatest({step:UInt32}, 1)) * {step:UInt32}
            ) AS time,
            toString({by1:Identifier}) AS name1,
            toString({by2:Identifier}) AS name2,
            toString({by3:Identifier}) AS name3,
            toString({by4:Identifier}) AS name4,
            toString({by5:Identifier}) AS name5,
            toString({by6:Identifier}) AS name6,
            toString({by7:Identifier}) AS name7,
            toString({by8:Identifier}) AS name8,
            quantilesBFloat16If(0.5, 0.9, 0.95, 0.99)(
                assumeNotNull(u.first_token_ms),
                isNotNull(u.first_token_ms) AND u.entry = 'charge' AND u.calls = 1
            ) AS first_token,
            quantilesBFloat16If(0.5, 0.9, 0.95, 0.99)(
                assumeNotNull(u.total_ms),
                isNotNull(u.total_ms) AND u.entry = 'charge' AND u.calls = 1
            ) AS total
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
        GROUP BY time, name1, name2, name3, name4, name5, name6, name7, name8
        UNION ALL
        SELECT
            if(
                {step:UInt32} = 0,
                0,
                intDiv(toUnixTimestamp(u.time), greatest({step:UInt32}, 1)) * {step:UInt32}
            ) AS time,
            toString({by1:Identifier}) AS name1,
            toString({by2:Identifier}) AS name2,
            toString({by3:Identifier}) AS name3,
            toString({by4:Identifier}) AS name4,
            toString({by5:Identifier}) AS name5,
            toString({by6:Identifier}) AS name6,
            toString({by7:Identifier}) AS name7,
            toString({by8:Identifier}) AS name8,
            quantilesBFloat16Merge(0.5, 0.9, 0.95, 0.99)(u.first_token_ms) AS first_token,
            quantilesBFloat16Merge(0.5, 0.9, 0.95, 0.99)(u.total_ms) AS total
        FROM {rollup:Identifier} AS u
        WHERE {raw:UInt8} = 0
            AND u.time >= toDateTime({since:UInt32}, 'UTC') AND u.time < toDateTime({until:UInt32}, 'UTC')
            AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, u.tenant))
            AND (empty({teams:Array(String)}) OR has({teams:Array(String)}, u.team))
            AND (empty({keys:Array(String)}) OR has({keys:Array(String)}, u.key))
            AND (empty({routes:Array(String)}) OR has({routes:Array(String)}, u.route))
            AND (empty({models:Array(String)}) OR has({models:Array(String)}, u.model))
            AND (empty({backends:Array(String)}) OR has({backends:Array(String)}, u.backend))
        GROUP BY time, name1, name2, name3, name4, name5, name6, name7, name8
    ),
    summed AS
    (
        SELECT
            if(
                {step:UInt32} = 0,
                0,
                intDiv(toUnixTimestamp(u.time), greatest({step:UInt32}, 1)) * {step:UInt32}
            ) AS time,
            toString({by1:Identifier}) AS name1,
            toString({by2:Identifier}) AS name2,
            toString({by3:Identifier}) AS name3,
            toString({by4:Identifier}) AS name4,
            toString({by5:Identifier}) AS name5,
            toString({by6:Identifier}) AS name6,
            toString({by7:Identifier}) AS name7,
            toString({by8:Identifier}) AS name8,
            sum(u.calls) AS calls,
            sumIf(u.calls, u.ending IN ('failed', 'broken', 'bug')) AS errors,
            sumIf(u.calls, u.ending = 'refused') AS refused,
            sum(u.attempts) AS attempts,
            sum(u.input_tokens) AS input_tokens,
            sum(u.output_tokens) AS output_tokens,
            sum(u.cached_tokens) AS cached_tokens,
            sum(u.cache_write_tokens) AS cache_write_tokens,
            sum(u.reasoning_tokens) AS reasoning_tokens,
            sum(u.cost) AS cost_usd,
            sum(u.saved) AS saved_usd,
            sumIf(u.cost, u.waste != '') AS wasted_usd,
            uniqCombinedMerge(12)(u.users) AS users,
            finalizeAggregation(
                uniqCombinedMergeStateIf(12)(u.conversations, is_good)
                + uniqCombinedMergeStateIf(12)(u.conversations, NOT is_good)
            ) AS conversations,
            finalizeAggregation(uniqCombinedMergeStateIf(12)(u.conversations, is_good)) AS good_conversations
        FROM {rollup:Identifier} AS u
        WHERE u.time >= toDateTime({since:UInt32}, 'UTC') AND u.time < toDateTime({until:UInt32}, 'UTC')
            AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, u.tenant))
            AND (empty({teams:Array(String)}) OR has({teams:Array(String)}, u.team))
            AND (empty({keys:Array(String)}) OR has({keys:Array(String)}, u.key))
            AND (empty({routes:Array(String)}) OR has({routes:Array(String)}, u.route))
            AND (empty({models:Array(String)}) OR has({models:Array(String)}, u.model))
            AND (empty({backends:Array(String)}) OR has({backends:Array(String)}, u.backend))
        GROUP BY time, name1, name2, name3, name4, name5, name6, name7, name8
    )
SELECT
    s.time AS time,
    s.name1 AS name1,
    s.name2 AS name2,
    s.name3 AS name3,
    s.name4 AS name4,
    s.name5 AS name5,
    s.name6 AS name6,
    s.name7 AS name7,
    s.name8 AS name8,
    s.calls AS calls,
    s.errors AS errors,
    s.refused AS refused,
    s.attempts AS attempts,
    s.input_tokens AS input_tokens,
    s.output_tokens AS output_tokens,
    s.cached_tokens AS cached_tokens,
    s.cache_write_tokens AS cache_write_tokens,
    s.reasoning_tokens AS reasoning_tokens,
    s.cost_usd AS cost_usd,
    s.saved_usd AS saved_usd,
    s.wasted_usd AS wasted_usd,
    s.users AS users,
    s.conversations AS conversations,
    s.good_conversations AS good_conversations,
    if(empty(t.first_token) OR isNaN(t.first_token[1]), NULL, round(toFloat64(t.first_token[1]), 1))
        AS first_token_p50_ms,
    if(empty(t.first_token) OR isNaN(t.first_token[3]), NULL, round(toFloat64(t.first_token[3]), 1))
        AS first_token_p95_ms,
    if(empty(t.total) OR isNaN(t.total[1]), NULL, round(toFloat64(t.total[1]), 1))
        AS total_p50_ms,
    if(empty(t.total) OR isNaN(t.total[3]), NULL, round(toFloat64(t.total[3]), 1))
        AS total_p95_ms
FROM summed AS s
LEFT JOIN timed AS t USING (time, name1, name2, name3, name4, name5, name6, name7, name8)
ORDER BY time, cost_usd DESC, calls DESC, name1, name2, name3, name4, name5, name6, name7, name8
LIMIT {limit:UInt32}
