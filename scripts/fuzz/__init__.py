"""Coverage-guided fuzzing of everything that the package reads: `python -m scripts.fuzz`."""
