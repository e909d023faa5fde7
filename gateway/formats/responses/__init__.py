"""OpenAI's Responses dialect: items in, items out, and a stream of events about items."""
