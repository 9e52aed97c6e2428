"""Which class a whole utterance is of."""
