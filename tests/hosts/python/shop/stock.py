"""What is left."""

LEFT = 10
