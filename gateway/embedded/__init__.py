"""Real engines that are started for you when no server is configured."""
