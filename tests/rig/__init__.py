"""What the tests over real sockets stand on: a fake upstream, the gateway as a process, the recordings."""
