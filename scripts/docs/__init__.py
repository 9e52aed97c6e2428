"""Pages of the documentation that are generated: `python -m scripts.docs`."""
