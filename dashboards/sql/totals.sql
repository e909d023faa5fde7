-- Totals: the whole span in one row, and the span of equal length before it.
-- Columns: measures; before_calls, before_errors, before_cost_usd, before_output_tokens, before_total_p95_ms.
-- Parameters: since, until (Unix seconds; until is not included), rollup (usage_minute, usage_hour or
-- usage_day), raw (1: single rows are kept for all of the span), tenants, teams, keys, routes, models,
-- backends (lists; an empty one is no filter), before (Unix
-- seconds: where the span before begins).
WITH
    -- Of the same states as all conversations: each is merged once.
    u.ending = 'finished' AND u.calls > 0 AS is_good,
    u.time >= toDateTime({since:UInt32}, 'UTC') AS is_now,
    -- Single rows are quicker to read than the states of rollups, and of millions of them a part is enough.
    (
        SELECT toUInt32(greatest(intDiv(sum(u.attempts), 1000000), 1))
        FROM {rollup:Identifier} AS u
        WHERE {raw:UInt8} = 1
            AND u.time >= toDateTime({before:UInt32}, 'UTC') AND u.time < toDateTime({until:UInt32}, 'UTC')
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
            quantilesBFloat16If(0.5, 0.9, 0.95, 0.99)(
                assumeNotNull(u.first_token_ms),
                isNotNull(u.first_token_ms) AND u.entry = 'charge' AND u.calls = 1 AND is_now
            ) AS first_token,
            quantilesBFloat16If(0.5, 0.9, 0.95, 0.99)(
                assumeNotNull(u.total_ms),
                isNotNull(u.total_ms) AND u.entry = 'charge' AND u.calls = 1 AND is_now
            ) AS total,
            quantilesBFloat16If(0.5, 0.9, 0.95, 0.99)(
                assumeNotNull(u.total_ms),
                isNotNull(u.total_ms) AND u.entry = 'charge' AND u.calls = 1 AND NOT is_now
            ) AS total_before
        FROM ledger AS u
        WHERE {raw:UInt8} = 1
            AND (one_of = 1 OR intHash32(toUnixTimestamp64Milli(u.time)) % one_of = 0)
            AND u.time >= toDateTime({before:UInt32}, 'UTC') AND u.time < toDateTime({until:UInt32}, 'UTC')
            AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, u.tenant))
            AND (empty({teams:Array(String)}) OR has({teams:Array(String)}, u.team))
            AND (empty({keys:Array(String)}) OR has({keys:Array(String)}, u.key))
            AND (empty({routes:Array(String)}) OR has({routes:Array(String)}, u.route))
            AND (empty({models:Array(String)}) OR has({models:Array(String)}, u.model))
            AND (empty({backends:Array(String)}) OR has({backends:Array(String)}, u.backend))
        HAVING {raw:UInt8} = 1
        UNION ALL
        SELECT
            quantilesBFloat16MergeIf(0.5, 0.9, 0.95, 0.99)(u.first_token_ms, is_now) AS first_token,
            quantilesBFloat16MergeIf(0.5, 0.9, 0.95, 0.99)(u.total_ms, is_now) AS total,
            quantilesBFloat16MergeIf(0.5, 0.9, 0.95, 0.99)(u.total_ms, NOT is_now) AS total_before
        FROM {rollup:Identifier} AS u
        WHERE {raw:UInt8} = 0
            AND u.time >= toDateTime({before:UInt32}, 'UTC') AND u.time < toDateTime({until:UInt32}, 'UTC')
            AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, u.tenant))
            AND (empty({teams:Array(String)}) OR has({teams:Array(String)}, u.team))
            AND (empty({keys:Array(String)}) OR has({keys:Array(String)}, u.key))
            AND (empty({routes:Array(String)}) OR has({routes:Array(String)}, u.route))
            AND (empty({models:Array(String)}) OR has({models:Array(String)}, u.model))
            AND (empty({backends:Array(String)}) OR has({backends:Array(String)}, u.backend))
        HAVING {raw:UInt8} = 0
    ),
    summed AS
    (
        SELECT
            sumIf(u.calls, is_now) AS calls,
            sumIf(u.calls, u.ending IN ('failed', 'broken', 'bug') AND is_now) AS errors,
            sumIf(u.calls, u.ending = 'refused' AND is_now) AS refused,
            sumIf(u.attempts, is_now) AS attempts,
            sumIf(u.input_tokens, is_now) AS input_tokens,
            sumIf(u.output_tokens, is_now) AS output_tokens,
            sumIf(u.cached_tokens, is_now) AS cached_tokens,
            sumIf(u.cache_write_tokens, is_now) AS cache_write_tokens,
            sumIf(u.reasoning_tokens, is_now) AS reasoning_tokens,
            sumIf(u.cost, is_now) AS cost_usd,
            sumIf(u.saved, is_now) AS saved_usd,
            sumIf(u.cost, u.waste != '' AND is_now) AS wasted_usd,
            uniqCombinedMergeIf(12)(u.users, is_now) AS users,
            finalizeAggregation(
                uniqCombinedMergeStateIf(12)(u.conversations, is_good AND is_now)
                + uniqCombinedMergeStateIf(12)(u.conversations, NOT is_good AND is_now)
            ) AS conversations,
            finalizeAggregation(
                uniqCombinedMergeStateIf(12)(u.conversations, is_good AND is_now)
            ) AS good_conversations,
            sumIf(u.calls, NOT is_now) AS before_calls,
            sumIf(u.calls, u.ending IN ('failed', 'broken', 'bug') AND NOT is_now) AS before_errors,
            sumIf(u.cost, NOT is_now) AS before_cost_usd,
            sumIf(u.output_tokens, NOT is_now) AS before_output_tokens
        FROM {rollup:Identifier} AS u
        WHERE u.time >= toDateTime({before:UInt32}, 'UTC') AND u.time < toDateTime({until:UInt32}, 'UTC')
            AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, u.tenant))
            AND (empty({teams:Array(String)}) OR has({teams:Array(String)}, u.team))
            AND (empty({keys:Array(String)}) OR has({keys:Array(String)}, u.key))
            AND (empty({routes:Array(String)}) OR has({routes:Array(String)}, u.route))
            AND (empty({models:Array(String)}) OR has({models:Array(String)}, u.model))
            AND (empty({backends:Array(String)}) OR has({backends:Array(String)}, u.backend))
    )
SELECT
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
        AS total_p95_ms,
    s.before_calls AS before_calls,
    s.before_errors AS before_errors,
    s.before_cost_usd AS before_cost_usd,
    s.before_output_tokens AS before_output_tokens,
    if(empty(t.total_before) OR isNaN(t.total_before[3]), NULL, round(toFloat64(t.total_before[3]), 1))
        AS before_total_p95_ms
FROM summed AS s
CROSS JOIN timed AS t
