"""Metrics: a pure function first, a thin stateful class second."""
