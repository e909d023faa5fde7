-- Statement: what was used and what it cost in a span of time, as it stands now: charges and corrections in one.
-- Columns: day (Unix seconds of its beginning, UTC), dimensions, amounts; costs are whole femto-USD.
-- Parameters: since, until (Unix seconds; until is not included), rollup (usage_day or usage_hour where both are
-- edges of it, else ledger), tenants (empty: all), demo (1: demo data, too).
SELECT
    toUnixTimestamp(toStartOfDay(u.time)) AS day,
    u.tenant AS tenant,
    u.team AS team,
    u.key AS key,
    u.route AS route,
    u.backend AS backend,
    u.model AS model,
    u.price AS price,
    u.waste AS waste,
    u.confidence AS confidence,
    u.source AS source,
    sum(toInt64(u.calls)) AS calls,
    sum(toInt64(u.attempts)) AS attempts,
    sum(u.input_tokens) AS input_tokens,
    sum(u.output_tokens) AS output_tokens,
    sum(u.cached_tokens) AS cached_tokens,
    sum(u.cache_write_tokens) AS cache_write_tokens,
    sum(u.cache_write_1h_tokens) AS cache_write_1h_tokens,
    sum(u.reasoning_tokens) AS reasoning_tokens,
    sum(u.audio_input_tokens) AS audio_input_tokens,
    sum(u.audio_output_tokens) AS audio_output_tokens,
    sum(u.image_input_tokens) AS image_input_tokens,
    sum(u.image_output_tokens) AS image_output_tokens,
    sum(u.tool_use_tokens) AS tool_use_tokens,
    sum(u.searches) AS searches,
    sum(u.characters) AS characters,
    sum(u.audio_ms) AS audio_ms,
    reinterpret(sum(u.cost_input), 'Int128') AS cost_input,
    reinterpret(sum(u.cost_cached), 'Int128') AS cost_cached,
    reinterpret(sum(u.cost_cache_write), 'Int128') AS cost_cache_write,
    reinterpret(sum(u.cost_audio_input), 'Int128') AS cost_audio_input,
    reinterpret(sum(u.cost_image_input), 'Int128') AS cost_image_input,
    reinterpret(sum(u.cost_output), 'Int128') AS cost_output,
    reinterpret(sum(u.cost_reasoning), 'Int128') AS cost_reasoning,
    reinterpret(sum(u.cost_audio_output), 'Int128') AS cost_audio_output,
    reinterpret(sum(u.cost_image_output), 'Int128') AS cost_image_output,
    reinterpret(sum(u.cost_other), 'Int128') AS cost_other,
    reinterpret(sum(u.cost), 'Int128') AS cost
FROM {rollup:Identifier} AS u
WHERE u.time >= toDateTime({since:UInt32}, 'UTC') AND u.time < toDateTime({until:UInt32}, 'UTC')
    AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, u.tenant))
    AND (u.source != 'demo' OR {demo:UInt8} = 1)
GROUP BY day, tenant, team, key, route, backend, model, price, waste, confidence, source
ORDER BY day, tenant, team, key, route, backend, model, price, waste, confidence, source
