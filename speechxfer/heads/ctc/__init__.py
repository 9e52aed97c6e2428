"""Connectionist temporal classification over characters."""
