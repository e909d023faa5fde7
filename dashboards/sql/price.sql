-- Price: the rates of one version of a price, or the newest of a backend and model; for a tenant only those of
-- prices that it has paid.
-- Columns: version, rates (JSON, femto-USD for one of each).
-- Parameters: price (a version, or backend/model), tenants (a list; an empty one is no filter).
SELECT p.version AS version, p.rates AS rates
FROM prices AS p
WHERE (p.version = {price:String} OR concat(p.backend, '/', p.model) = {price:String})
    AND
    (
        empty({tenants:Array(String)})
        OR p.version IN (SELECT u.price FROM usage_day AS u WHERE has({tenants:Array(String)}, u.tenant))
    )
ORDER BY p.version = {price:String} DESC, p.seen DESC
LIMIT 1
