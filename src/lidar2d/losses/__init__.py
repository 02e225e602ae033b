"""Losses: small, cited, pure functions."""
