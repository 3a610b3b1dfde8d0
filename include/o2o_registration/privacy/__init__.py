"""Forgetting people without losing the facts, and without ever calling them again: see docs/privacy.md."""
