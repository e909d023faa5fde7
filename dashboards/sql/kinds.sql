-- Kinds: tokens and money by kind of token over time; kinds do not overlap. `other` is what is not sold by
-- tokens: searches, characters, seconds of sound, requests.
-- Columns: time (Unix seconds of the step's beginning), kind, tokens, cost_usd.
-- Parameters: since, until (Unix seconds; until is not included), rollup (usage_minute, usage_hour or
-- usage_day), tenants, teams, keys, routes, models, backends (lists; an empty one is no filter), step
-- (seconds).
SELECT time, each.1 AS kind, each.2 AS tokens, each.3 AS cost_usd
FROM
(
    WITH
        u.input_tokens - u.cached_tokens - u.cache_write_tokens AS text_input,
        text_input - u.audio_input_tokens - u.image_input_tokens AS plain_input,
        u.output_tokens - u.reasoning_tokens - u.audio_output_tokens - u.image_output_tokens AS plain_output
    SELECT
        intDiv(toUnixTimestamp(u.time), {step:UInt32}) * {step:UInt32} AS time,
        [
            ('input', sum(plain_input), sum(u.cost_input)),
            ('cached', sum(u.cached_tokens), sum(u.cost_cached)),
            ('cache_write', sum(u.cache_write_tokens), sum(u.cost_cache_write)),
            ('audio_input', sum(u.audio_input_tokens), sum(u.cost_audio_input)),
            ('image_input', sum(u.image_input_tokens), sum(u.cost_image_input)),
            ('output', sum(plain_output), sum(u.cost_output)),
            ('reasoning', sum(u.reasoning_tokens), sum(u.cost_reasoning)),
            ('audio_output', sum(u.audio_output_tokens), sum(u.cost_audio_output)),
            ('image_output', sum(u.image_output_tokens), sum(u.cost_image_output)),
            ('other', toInt64(0), sum(u.cost_other))
        ] AS every
    FROM {rollup:Identifier} AS u
    WHERE u.time >= toDateTime({since:UInt32}, 'UTC') AND u.time < toDateTime({until:UInt32}, 'UTC')
        AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, u.tenant))
        AND (empty({teams:Array(String)}) OR has({teams:Array(String)}, u.team))
        AND (empty({keys:Array(String)}) OR has({keys:Array(String)}, u.key))
        AND (empty({routes:Array(String)}) OR has({routes:Array(String)}, u.route))
        AND (empty({models:Array(String)}) OR has({models:Array(String)}, u.model))
        AND (empty({backends:Array(String)}) OR has({backends:Array(String)}, u.backend))
    GROUP BY time
)
ARRAY JOIN every AS each, arrayEnumerate(every) AS place
WHERE tokens != 0 OR cost_usd != 0
ORDER BY time, place
