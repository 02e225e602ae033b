"""What ``lidar2d compare`` does: runs side by side, wherever they were logged. Imports no torch."""
