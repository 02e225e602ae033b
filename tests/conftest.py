"""Test files run side by side: each process computes on one thread, and so do those that it starts."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is first imported
