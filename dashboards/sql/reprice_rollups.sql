-- Whether the rollups of some days have what the ledger has.
-- Columns: name (of the table), cost (femto-USD), attempts.
-- Parameters: tenants (empty: all), since and until (Unix seconds, beginnings of days).
SELECT 'ledger' AS name, reinterpret(sum(cost), 'Int128') AS cost, sum(toInt64(attempts)) AS attempts
FROM ledger
WHERE (empty({tenants:Array(String)}) OR tenant IN {tenants:Array(String)})
    AND time >= toDateTime({since:Int64}, 'UTC')
    AND time < toDateTime({until:Int64}, 'UTC')
UNION ALL
SELECT 'usage_minute' AS name, reinterpret(sum(cost), 'Int128') AS cost, sum(attempts) AS attempts
FROM usage_minute
WHERE (empty({tenants:Array(String)}) OR tenant IN {tenants:Array(String)})
    AND time >= toDateTime({since:Int64}, 'UTC')
    AND time < toDateTime({until:Int64}, 'UTC')
UNION ALL
SELECT 'usage_hour' AS name, reinterpret(sum(cost), 'Int128') AS cost, sum(attempts) AS attempts
FROM usage_hour
WHERE (empty({tenants:Array(String)}) OR tenant IN {tenants:Array(String)})
    AND time >= toDateTime({since:Int64}, 'UTC')
    AND time < toDateTime({until:Int64}, 'UTC')
UNION ALL
SELECT 'usage_day' AS name, reinterpret(sum(cost), 'Int128') AS cost, sum(attempts) AS attempts
FROM usage_day
WHERE (empty({tenants:Array(String)}) OR tenant IN {tenants:Array(String)})
    AND time >= toDateTime({since:Int64}, 'UTC')
    AND time < toDateTime({until:Int64}, 'UTC')
