-- Corrections: what was reversed and booked anew, of calls of a span of time, or booked in it.
-- Columns: day (Unix seconds of the beginning of the call's, UTC), is_of (1: its call ended in the span), is_in
-- (1: it was booked in the span), dimensions, amounts; costs are whole femto-USD.
-- Parameters: since, until (Unix seconds; until is not included), tenants (empty: all), demo (1: demo data, too).
SELECT
    toUnixTimestamp(toStartOfDay(l.time)) AS day,
    l.time >= toDateTime({since:UInt32}, 'UTC') AND l.time < toDateTime({until:UInt32}, 'UTC') AS is_of,
    l.booked >= toDateTime({since:UInt32}, 'UTC') AND l.booked < toDateTime({until:UInt32}, 'UTC') AS is_in,
    l.tenant AS tenant,
    l.team AS team,
    l.key AS key,
    l.route AS route,
    l.backend AS backend,
    l.model AS model,
    l.price AS price,
    l.waste AS waste,
    l.confidence AS confidence,
    l.source AS source,
    sum(toInt64(l.calls)) AS calls,
    sum(toInt64(l.attempts)) AS attempts,
    sum(l.input_tokens) AS input_tokens,
    sum(l.output_tokens) AS output_tokens,
    sum(l.cached_tokens) AS cached_tokens,
    sum(l.cache_write_tokens) AS cache_write_tokens,
    sum(l.cache_write_1h_tokens) AS cache_write_1h_tokens,
    sum(l.reasoning_tokens) AS reasoning_tokens,
    sum(l.audio_input_tokens) AS audio_input_tokens,
    sum(l.audio_output_tokens) AS audio_output_tokens,
    sum(l.image_input_tokens) AS image_input_tokens,
    sum(l.image_output_tokens) AS image_output_tokens,
    sum(l.tool_use_tokens) AS tool_use_tokens,
    sum(l.searches) AS searches,
    sum(l.characters) AS characters,
    sum(l.audio_ms) AS audio_ms,
    reinterpret(sum(l.cost_input), 'Int128') AS cost_input,
    reinterpret(sum(l.cost_cached), 'Int128') AS cost_cached,
    reinterpret(sum(l.cost_cache_write), 'Int128') AS cost_cache_write,
    reinterpret(sum(l.cost_audio_input), 'Int128') AS cost_audio_input,
    reinterpret(sum(l.cost_image_input), 'Int128') AS cost_image_input,
    reinterpret(sum(l.cost_output), 'Int128') AS cost_output,
    reinterpret(sum(l.cost_reasoning), 'Int128') AS cost_reasoning,
    reinterpret(sum(l.cost_audio_output), 'Int128') AS cost_audio_output,
    reinterpret(sum(l.cost_image_output), 'Int128') AS cost_image_output,
    reinterpret(sum(l.cost_other), 'Int128') AS cost_other,
    reinterpret(sum(l.cost), 'Int128') AS cost
FROM ledger AS l
WHERE l.entry != 'charge' AND (is_of OR is_in)
    AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, l.tenant))
    AND (l.source != 'demo' OR {demo:UInt8} = 1)
GROUP BY day, is_of, is_in, tenant, team, key, route, backend, model, price, waste, confidence, source
ORDER BY day, is_of, is_in, tenant, team, key, route, backend, model, price, waste, confidence, source
