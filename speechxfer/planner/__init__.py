"""Before a run: what each layer knows of a domain, how far that is from the model, and which transfer fits."""
