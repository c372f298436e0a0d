"""The section "What the model sees", which both docks have."""
