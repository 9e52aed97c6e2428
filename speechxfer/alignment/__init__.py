"""Recordings of any length and what is said in them: when each word is said, and where the two differ.

A recording becomes the emissions of a CTC model, a text the words of a script; a path leads through both, and becomes
words with times.
"""
