"""OpenAI's dialect: chat completions, and the older completions and embeddings that share its shape."""
