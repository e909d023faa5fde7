"""The edge towards clients: the HTTP server, its connections, and the processes it runs in."""
