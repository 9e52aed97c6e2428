"""Recordings without text: what a model makes of them, which it can be taught with, and which to transcribe next."""
