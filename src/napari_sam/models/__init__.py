"""The only room that knows torch: models that turn prompts into masks."""
