"""Evaluation tasks that judge frozen features."""
