-- What calls have used of their limits, by all that a limit may be for, and by when they began. What is reserved
-- is charged when a call comes in: so it counts in the period and in the step in which it began, not in that in
-- which it ended. Money is rounded up to the nano-dollar for each attempt, as the counters of budgets do.
-- Columns: tenant, team, key, user, route, model (as asked for), tags (the tenant's, as booked), slice (where
-- it began, Unix ms: one of `edges`), requests (those that an upstream was asked for, or a cache answered),
-- input_tokens, output_tokens, usd (a text).
-- Parameters: tenants (a list; an empty one is no filter), since, until (Unix ms of the beginning of a call;
-- until is not included), edges (Unix ms, ascending, the first is `since`), users (1: each user apart).
WITH toUnixTimestamp64Milli(u.time) - toInt64(ifNull(u.total_ms, 0)) AS began
SELECT
    u.tenant AS tenant,
    u.team AS team,
    u.key AS key,
    if({users:UInt8} = 1, u.user, '') AS user,
    u.route AS route,
    u.asked_model AS model,
    anyLast(u.tags) AS tags,
    roundDown(began, {edges:Array(Int64)}) AS slice,
    sumIf(u.calls, u.attempt > 0 OR u.cache != '') AS requests,
    sum(u.input_tokens) AS input_tokens,
    sum(u.output_tokens) AS output_tokens,
    toString(sum(if(u.cost < 0, -ceil(-u.cost, 9), ceil(u.cost, 9)))) AS usd
FROM ledger AS u
WHERE u.time >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')
    AND began >= {since:Int64} AND began < {until:Int64}
    AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, u.tenant))
    AND u.purpose = 'call' AND u.source != 'demo'
GROUP BY tenant, team, key, user, route, model, slice
