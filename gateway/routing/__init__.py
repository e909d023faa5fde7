"""Pure choice: which route a model name means, and which of its targets are tried in which order."""
