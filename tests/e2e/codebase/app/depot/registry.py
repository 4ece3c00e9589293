"""Finds what all parts of the namespace package `addons` have."""
import importlib
import pkgutil

import addons


def colours():
    found = {}
    for _, name, package in pkgutil.walk_packages(addons.__path__, 'addons.'):
        module = importlib.import_module(name)
        found[name] = None if package else module.COLOUR
    return found
