"""Ollama's own dialect: its chat API."""
