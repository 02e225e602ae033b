"""What was measured, as files that people and programs read."""
