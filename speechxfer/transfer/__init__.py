"""How much of a model moves."""
