-- Which rebookings are in the ledger already, after an interruption (gateway/finops/repricing/journal.py).
-- Columns: time (Unix ms), call, attempt, revision.
-- Parameters: tenants (one), since and until (Unix ms, both included).
SELECT toUnixTimestamp64Milli(ledger.time) AS time, call, attempt, revision
FROM ledger
WHERE (empty({tenants:Array(String)}) OR tenant IN {tenants:Array(String)})
    AND ledger.time >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
    AND ledger.time <= fromUnixTimestamp64Milli({until:Int64}, 'UTC')
    AND entry = 'rebooking'
