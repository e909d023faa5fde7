"""ClickHouse, always over HTTP: one client for a server, a cluster, and the engine that comes embedded."""
