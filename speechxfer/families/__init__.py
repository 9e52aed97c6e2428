"""The families of encoders: each in a module or folder of its own, which nothing outside it knows by name."""
