-- What was booked of some backends by hour and model: what a provider's bill is compared with
-- (gateway/finops/reconciling). Demo data is left out.
-- Columns: hour (since the Unix epoch), model, attempts, tokens and cost (femto-USD) of each kind that bills
-- tell apart, the cost of what is doubtful and wasted, the attempts without a price, the versions of prices.
-- Parameters: tenants (empty: all), since and until (Unix seconds), backends.
SELECT
    toInt64(intDiv(toUnixTimestamp(time), 3600)) AS hour,
    model,
    sum(usage_hour.attempts) AS attempts,
    sum(usage_hour.input_tokens - usage_hour.cached_tokens - usage_hour.cache_write_tokens) AS fresh_tokens,
    sum(usage_hour.cached_tokens) AS cached_tokens,
    sum(usage_hour.cache_write_tokens) AS cache_write_tokens,
    sum(usage_hour.output_tokens) AS output_tokens,
    reinterpret(sum(cost_input + cost_audio_input + cost_image_input), 'Int128') AS cost_input,
    reinterpret(sum(usage_hour.cost_cached), 'Int128') AS cost_cached,
    reinterpret(sum(usage_hour.cost_cache_write), 'Int128') AS cost_cache_write,
    reinterpret(sum(cost_output + cost_reasoning + cost_audio_output + cost_image_output), 'Int128') AS cost_output,
    reinterpret(sum(usage_hour.cost_other), 'Int128') AS cost_other,
    reinterpret(sumIf(cost, confidence IN ('counted', 'estimated')), 'Int128') AS cost_doubtful,
    reinterpret(sumIf(cost, waste IN ('failed', 'cancelled', 'hedged')), 'Int128') AS cost_wasted,
    sumIf(usage_hour.attempts, price = '' AND confidence != '') AS unpriced,
    groupUniqArrayIf(20)(price, price != '') AS prices
FROM usage_hour
WHERE (empty({tenants:Array(String)}) OR tenant IN {tenants:Array(String)})
    AND time >= toDateTime({since:Int64}, 'UTC')
    AND time < toDateTime({until:Int64}, 'UTC')
    AND backend IN {backends:Array(String)}
    AND source != 'demo'
GROUP BY hour, model
ORDER BY hour, model
