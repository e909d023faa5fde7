"""Where prices come from: the public ones, and those that are written in policies/prices.yaml."""
