-- What may be repriced, and how much of it: asked for first, then tenant by tenant (reprice_page).
-- Columns: tenant, backend, model, attempts.
-- Parameters: tenants (empty: all), since and until (Unix ms).
SELECT tenant, backend, model, count() AS attempts
FROM ledger
WHERE (empty({tenants:Array(String)}) OR tenant IN {tenants:Array(String)})
    AND time >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
    AND time < fromUnixTimestamp64Milli({until:Int64}, 'UTC')
    AND entry = 'charge'
    AND confidence != ''
    AND source != 'demo'
GROUP BY tenant, backend, model
ORDER BY tenant, backend, model
