"""What is asked of modules by tools."""
import inspect
import threading
import traceback

from depot import limits, model


def about():
    lines = inspect.getsource(model.Item.doubled)
    file = model.__file__.rpartition('/codebase/')[2]
    return [file, lines.count('\n'), model.__package__ or 'depot', inspect.getdoc(model.Item)]


def printed():
    try:
        limits.checked(5000)
    except limits.TooMany:
        return traceback.format_exc()


def together():
    """Eight threads that import one package at once."""
    found = []

    def work():
        from depot import late
        found.append(late.LOADED)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(found), len(set(found))
