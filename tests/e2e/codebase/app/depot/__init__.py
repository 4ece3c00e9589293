"""What a depot has in stock."""
import pkgutil

from .model import Item

__all__ = ['Item', 'report', 'stock']
VERSION = pkgutil.get_data(__name__, 'VERSION').decode('ascii').strip()
