"""The parts of the benchmarks: servers under test, the load on them, what is read off, the table."""
