-- Savings: what caches and cheaper routes have saved, against a baseline: what the very tokens of the answers
-- that somebody got would have cost at one price, by kind, without long-context or other tiers.
-- Columns: name, cost_usd (all of it, also what was wasted), uncached_usd (had no provider cached anything),
-- baseline_usd, saved_by_cache_usd (uncached - cost), saved_by_routing_usd (baseline - cost; negative: dearer
-- than the baseline), fallback_usd (part of the cost: attempts at declared fallbacks).
-- Parameters: since, until (Unix seconds; until is not included), rollup (usage_minute, usage_hour or
-- usage_day), tenants, teams, keys, routes, models, backends (lists; an empty one is no filter), by1 (name of
-- a column, or `nothing`), is_known (0: there is no baseline), rate_input .. rate_request (USD for one),
-- limit.
SELECT
    name,
    cost_usd,
    cost_usd + saved_by_cache_usd AS uncached_usd,
    if({is_known:UInt8} = 0, NULL, baseline) AS baseline_usd,
    saved_by_cache_usd,
    baseline_usd - cost_usd AS saved_by_routing_usd,
    fallback_usd
FROM
(
    WITH
        '' AS nothing,
        u.waste = '' AND u.purpose = 'call' AS useful,
        u.input_tokens - u.cached_tokens - u.cache_write_tokens AS text_input,
        text_input - u.audio_input_tokens - u.image_input_tokens AS plain_input,
        u.output_tokens - u.reasoning_tokens - u.audio_output_tokens - u.image_output_tokens AS plain_output
    SELECT
        toString({by1:Identifier}) AS name,
        sum(u.cost) AS cost_usd,
        sum(u.saved) AS saved_by_cache_usd,
        sumIf(plain_input, useful) * {rate_input:Decimal(38, 15)}
            + sumIf(u.cached_tokens, useful) * {rate_cached:Decimal(38, 15)}
            + sumIf(u.cache_write_tokens - u.cache_write_1h_tokens, useful) * {rate_cache_write:Decimal(38, 15)}
            + sumIf(u.cache_write_1h_tokens, useful) * {rate_cache_write_1h:Decimal(38, 15)}
            + sumIf(u.audio_input_tokens, useful) * {rate_audio_input:Decimal(38, 15)}
            + sumIf(u.image_input_tokens, useful) * {rate_image_input:Decimal(38, 15)}
            + sumIf(plain_output, useful) * {rate_output:Decimal(38, 15)}
            + sumIf(u.reasoning_tokens, useful) * {rate_reasoning:Decimal(38, 15)}
            + sumIf(u.audio_output_tokens, useful) * {rate_audio_output:Decimal(38, 15)}
            + sumIf(u.image_output_tokens, useful) * {rate_image_output:Decimal(38, 15)}
            + sumIf(u.searches, useful) * {rate_search:Decimal(38, 15)}
            + sumIf(u.characters, useful) * {rate_character:Decimal(38, 15)}
            + sumIf(u.audio_ms, useful) * {rate_audio_hour:Decimal(38, 15)} / 3600000
            + sumIf(u.attempts, useful) * {rate_request:Decimal(38, 15)} AS baseline,
        sumIf(u.cost, u.why = 'fallback') AS fallback_usd
    FROM {rollup:Identifier} AS u
    WHERE u.time >= toDateTime({since:UInt32}, 'UTC') AND u.time < toDateTime({until:UInt32}, 'UTC')
        AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, u.tenant))
        AND (empty({teams:Array(String)}) OR has({teams:Array(String)}, u.team))
        AND (empty({keys:Array(String)}) OR has({keys:Array(String)}, u.key))
        AND (empty({routes:Array(String)}) OR has({routes:Array(String)}, u.route))
        AND (empty({models:Array(String)}) OR has({models:Array(String)}, u.model))
        AND (empty({backends:Array(String)}) OR has({backends:Array(String)}, u.backend))
    GROUP BY name
)
ORDER BY cost_usd DESC, name
LIMIT {limit:UInt32}
