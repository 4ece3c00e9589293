import pkgutil
import depot.stock

try:
    import ujson_that_is_not_there as json
except ImportError:
    import json


def line(name, count):
    return json.dumps([name, count])


def whole():
    return line('whole', depot.stock.total())


def mail(name):
    template = pkgutil.get_data('depot', 'templates/mails/low.txt').decode('ascii')
    return template.format(name=name, count=depot.stock.total(), item='things')


def folders():
    """The data of the package, by `importlib.resources` where that has `files`."""
    try:
        from importlib.resources import files
    except ImportError:
        return None
    root = files('depot')
    return [
        sorted(entry.name for entry in (root / 'templates').iterdir()),
        (root / 'templates' / 'mails' / 'low.txt').read_text(encoding='ascii').splitlines()[0],
    ]
