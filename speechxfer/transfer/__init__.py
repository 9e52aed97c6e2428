"""Which parts of a model are trained: presets, unfreezing, surgery."""
