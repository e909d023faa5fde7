"""How streams are cut into events: server-sent events, AWS event streams, lines and arrays of JSON."""
