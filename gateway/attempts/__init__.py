"""One try upstream, and what comes after one that failed."""
