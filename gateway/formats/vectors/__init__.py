"""Embeddings and rankings: OpenAI's and Cohere's shape for clients, each provider's own upstream."""
