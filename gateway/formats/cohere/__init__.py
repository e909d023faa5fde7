"""Cohere's dialect: chat of the API version 2."""
