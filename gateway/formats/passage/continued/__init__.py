"""Going on with a stream that broke, by another upstream."""
