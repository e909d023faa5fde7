-- The tokens of a backend by minutes in which calls to it ended: what its GPUs deliver
-- (gateway/finops/throughput.py).
-- Columns: minute (since the Unix epoch), model, input_tokens, output_tokens.
-- Parameters: tenants (empty: all), since and until (Unix seconds), backend.
SELECT
    toInt64(intDiv(toUnixTimestamp(time), 60)) AS minute,
    model,
    sum(usage_minute.input_tokens) AS input_tokens,
    sum(usage_minute.output_tokens) AS output_tokens
FROM usage_minute
WHERE (empty({tenants:Array(String)}) OR tenant IN {tenants:Array(String)})
    AND time >= toDateTime({since:Int64}, 'UTC')
    AND time < toDateTime({until:Int64}, 'UTC')
    AND backend = {backend:String}
    AND source != 'demo'
GROUP BY minute, model
HAVING input_tokens > 0 OR output_tokens > 0
ORDER BY minute, model
