"""What a person does with this package, a function each; the command line and the recipes are thin users of these."""
