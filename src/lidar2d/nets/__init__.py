"""Networks: encoders of points and of images, and small heads."""
