"""Networks: encoders of points and of images."""
