"""Sparse convolution in pure PyTorch; no sparse type leaves this package."""
