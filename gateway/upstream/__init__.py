"""The only place that talks to upstreams: transports, credentials, and the limits on waiting."""
