"""What was promised of calls, whether it is kept, and how fast that is used up. Pure, but for `files`."""
