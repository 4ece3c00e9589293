"""Small jobs."""
