"""What happens around the steps of a run, one thing a module, all through the interface in `base`."""
