-- Call: all entries of one call, as they were booked.
-- Columns: all of the ledger; `at_ms` is its time in Unix milliseconds.
-- Parameters: call, tenants (a list; an empty one is no filter).
SELECT toUnixTimestamp64Milli(u.time) AS at_ms, u.* EXCEPT (time)
FROM ledger AS u
WHERE u.call = {call:String}
    AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, u.tenant))
ORDER BY u.time, u.attempt, u.revision, u.entry
LIMIT 1000
