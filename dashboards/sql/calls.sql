-- Calls: the calls one of whose attempts is as asked for, the newest first, each in one row with the sums of
-- all its attempts. Of the raw rows: the span is exact.
-- Columns: call, time (Unix seconds), tenant, team, key, user, conversation, route, rule, asked_model,
-- backend, model, status, ending, error, finish, stream, attempts, input_tokens, output_tokens, cached_tokens,
-- reasoning_tokens, cost_usd, wasted_usd, total_ms, first_token_ms, price, confidence, corrected, purpose,
-- source, entries (how many). Of several attempts, backend and model are of the one that speaks for the call.
-- Parameters: since, until (Unix seconds; until is not included), tenants, teams, keys, routes, models,
-- backends, users, conversations, endings, errors, wastes, calls, statuses (lists; an empty one is no filter),
-- min_ms, min_cost (USD; 0: any), before_ms, before_call (where to go on: only calls before this time and id),
-- entries (how many are looked at), limit.
WITH chosen AS
(
    SELECT u.tenant AS tenant, u.time AS time, u.call AS call
    FROM ledger AS u
    WHERE u.time >= toDateTime({since:UInt32}, 'UTC') AND u.time < toDateTime({until:UInt32}, 'UTC')
        AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, u.tenant))
        AND (empty({teams:Array(String)}) OR has({teams:Array(String)}, u.team))
        AND (empty({keys:Array(String)}) OR has({keys:Array(String)}, u.key))
        AND (empty({routes:Array(String)}) OR has({routes:Array(String)}, u.route))
        AND (empty({models:Array(String)}) OR has({models:Array(String)}, u.model))
        AND (empty({backends:Array(String)}) OR has({backends:Array(String)}, u.backend))
        AND (empty({users:Array(String)}) OR u.user IN {users:Array(String)})
        AND (empty({conversations:Array(String)}) OR u.conversation IN {conversations:Array(String)})
        AND (empty({endings:Array(String)}) OR has({endings:Array(String)}, u.ending))
        AND (empty({errors:Array(String)}) OR has({errors:Array(String)}, u.error))
        AND (empty({wastes:Array(String)}) OR has({wastes:Array(String)}, u.waste))
        AND (empty({calls:Array(String)}) OR u.call IN {calls:Array(String)})
        AND (empty({statuses:Array(UInt16)}) OR has({statuses:Array(UInt16)}, u.status))
        AND ({min_ms:Float64} <= 0 OR u.total_ms >= {min_ms:Float64})
        AND (toUnixTimestamp64Milli(u.time), u.call) < ({before_ms:Int64}, {before_call:String})
        -- Only what has several entries need be added up: further attempts, corrections.
        AND (
            {min_cost:Decimal(38, 15)} <= 0
            OR
            (
                u.cost >= {min_cost:Decimal(38, 15)}
                AND u.call NOT IN
                (
                    SELECT n.call
                    FROM ledger AS n
                    WHERE {min_cost:Decimal(38, 15)} > 0 AND n.revision > 0
                        AND n.time >= toDateTime({since:UInt32}, 'UTC') AND n.time < toDateTime({until:UInt32}, 'UTC')
                        AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, n.tenant))
                )
            )
            OR u.call IN
            (
                SELECT m.call
                FROM ledger AS m
                WHERE {min_cost:Decimal(38, 15)} > 0
                    AND m.time >= toDateTime({since:UInt32}, 'UTC') AND m.time < toDateTime({until:UInt32}, 'UTC')
                    AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, m.tenant))
                    AND m.call IN
                    (
                        SELECT n.call
                        FROM ledger AS n
                        WHERE {min_cost:Decimal(38, 15)} > 0 AND (n.attempt > 1 OR n.revision > 0)
                            AND n.time >= toDateTime({since:UInt32}, 'UTC')
                            AND n.time < toDateTime({until:UInt32}, 'UTC')
                            AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, n.tenant))
                    )
                GROUP BY m.call
                HAVING sum(m.cost) >= {min_cost:Decimal(38, 15)}
            )
        )
    ORDER BY u.time DESC, u.call DESC
    LIMIT {entries:UInt32}
)
SELECT
    u.call AS call,
    toUnixTimestamp64Milli(u.time) / 1000 AS time,
    any(u.tenant) AS tenant,
    any(u.team) AS team,
    any(u.key) AS key,
    any(u.user) AS user,
    any(u.conversation) AS conversation,
    any(u.route) AS route,
    any(u.rule) AS rule,
    any(u.asked_model) AS asked_model,
    argMax(u.backend, (u.calls, u.attempt)) AS backend,
    argMax(u.model, (u.calls, u.attempt)) AS model,
    any(u.status) AS status,
    any(u.ending) AS ending,
    any(u.error) AS error,
    argMax(u.finish, (u.calls, u.attempt)) AS finish,
    any(u.stream) AS stream,
    sum(u.attempts) AS attempts,
    sum(u.input_tokens) AS input_tokens,
    sum(u.output_tokens) AS output_tokens,
    sum(u.cached_tokens) AS cached_tokens,
    sum(u.reasoning_tokens) AS reasoning_tokens,
    sum(u.cost) AS cost_usd,
    sumIf(u.cost, u.waste != '') AS wasted_usd,
    max(u.total_ms) AS total_ms,
    argMax(u.first_token_ms, (u.calls, u.attempt)) AS first_token_ms,
    argMax(u.price, (u.revision, u.calls, u.attempt)) AS price,
    argMax(u.confidence, (u.calls, u.attempt)) AS confidence,
    toBool(max(u.revision) > 0) AS corrected,
    any(u.purpose) AS purpose,
    any(u.source) AS source,
    count() AS entries
FROM ledger AS u
WHERE (u.tenant, u.time, u.call) IN (SELECT tenant, time, call FROM chosen)
    AND (empty({tenants:Array(String)}) OR has({tenants:Array(String)}, u.tenant))
GROUP BY u.time, u.call
ORDER BY u.time DESC, u.call DESC
LIMIT {limit:UInt32}
