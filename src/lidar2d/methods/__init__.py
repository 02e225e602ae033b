"""The methods: one class of equations each, over shared parts."""
