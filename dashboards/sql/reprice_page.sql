-- The bookings of one tenant by time, a page of them: what may be repriced. The entries of an attempt are never
-- divided between two pages, so the newest of each is on its page; demo data is left alone.
-- Columns: those of the ledger; time is Unix ms, amounts are femto-USD.
-- Parameters: tenants (one), since (Unix ms) with call and attempt: the last one of the page before; until
-- (Unix ms), backends, models, limit.
SELECT
    toUnixTimestamp64Milli(ledger.time) AS time,
    call,
    toString(ledger.entry) AS entry,
    revision,
    attempt,
    calls,
    attempts,
    purpose,
    made_for,
    tenant,
    team,
    key,
    user,
    conversation,
    tags,
    route,
    rule,
    asked_model,
    backend,
    model,
    answered_model,
    format,
    translated_to,
    stream,
    why,
    status,
    ending,
    cause,
    error,
    finish,
    cache,
    tier,
    input_tokens,
    output_tokens,
    cached_tokens,
    cache_write_tokens,
    cache_write_1h_tokens,
    reasoning_tokens,
    audio_input_tokens,
    audio_output_tokens,
    image_input_tokens,
    image_output_tokens,
    tool_use_tokens,
    searches,
    characters,
    audio_ms,
    reinterpret(ledger.cost_input, 'Int128') AS cost_input,
    reinterpret(ledger.cost_cached, 'Int128') AS cost_cached,
    reinterpret(ledger.cost_cache_write, 'Int128') AS cost_cache_write,
    reinterpret(ledger.cost_audio_input, 'Int128') AS cost_audio_input,
    reinterpret(ledger.cost_image_input, 'Int128') AS cost_image_input,
    reinterpret(ledger.cost_output, 'Int128') AS cost_output,
    reinterpret(ledger.cost_reasoning, 'Int128') AS cost_reasoning,
    reinterpret(ledger.cost_audio_output, 'Int128') AS cost_audio_output,
    reinterpret(ledger.cost_image_output, 'Int128') AS cost_image_output,
    reinterpret(ledger.cost_other, 'Int128') AS cost_other,
    reinterpret(ledger.cost, 'Int128') AS cost,
    reinterpret(ledger.saved, 'Int128') AS saved,
    price,
    confidence,
    waste,
    queue_ms,
    connect_ms,
    first_token_ms,
    attempt_ms,
    total_ms,
    output_per_s,
    decision,
    source
FROM ledger
WHERE (empty({tenants:Array(String)}) OR tenant IN {tenants:Array(String)})
    AND ledger.time >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
    AND ledger.time < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
    AND (ledger.time, ledger.call, ledger.attempt)
        > (fromUnixTimestamp64Milli({since:Int64}, 'UTC'), {call:String}, {attempt:Int32})
    AND ledger.backend IN {backends:Array(String)}
    AND ledger.model IN {models:Array(String)}
    AND ledger.source != 'demo'
ORDER BY ledger.tenant, ledger.time, ledger.call, ledger.attempt
LIMIT {limit:UInt64} WITH TIES
