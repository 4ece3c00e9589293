"""Imported within a function."""

WORD = 'late'
