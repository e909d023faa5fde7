-- Demo: whether there is demo data (`forebay demo`), for the page's banner.
-- Columns: is_demo (1 or 0), attempts (of the demo).
-- Parameters: tenants (empty: all).
SELECT toUInt8(count() > 0) AS is_demo, toInt64(sum(u.attempts)) AS attempts
FROM usage_day AS u
WHERE u.source = 'demo' AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, u.tenant))
