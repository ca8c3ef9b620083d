"""Readers under random bytes: atheris targets, one for each. `python -m fuzz TARGET SECONDS`."""
