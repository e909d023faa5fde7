-- What each tenant spent in each hour: what anomalies are found in (gateway/finops/anomalies.py).
-- Columns: hour (since the Unix epoch), tenant, cost (femto-USD).
-- Parameters: tenants (empty: all), since and until (Unix seconds), demo (1: demo data, too).
SELECT
    toInt64(intDiv(toUnixTimestamp(time), 3600)) AS hour,
    tenant,
    reinterpret(sum(cost), 'Int128') AS cost
FROM usage_hour
WHERE (empty({tenants:Array(String)}) OR tenant IN {tenants:Array(String)})
    AND time >= toDateTime({since:Int64}, 'UTC')
    AND time < toDateTime({until:Int64}, 'UTC')
    AND (source != 'demo' OR {demo:UInt8} = 1)
GROUP BY hour, tenant
ORDER BY hour, tenant
