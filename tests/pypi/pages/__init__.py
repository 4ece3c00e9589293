"""A package with templates and entry points."""


def shout(text):
    return text.upper()
