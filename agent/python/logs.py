"""Waits for `logging` to be imported: docs/wire.md, section 12.

The controller sends this part in EXTEND, behind START, if it wants the records, and puts `log_level` behind it. What
has them sent is asked for when `logging` is imported, which takes longer than an agent takes to start.
"""


class Watch(object):
    """Stands first on `sys.meta_path` until then."""

    def find_spec(self, name, path=None, target=None):
        if name != 'logging':
            return
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target) if hasattr(finder, 'find_spec') else None
            if spec:
                spec.loader.exec_module = watched(spec.loader, spec.loader.exec_module)
                return spec

    if OLD:
        def find_module(self, name, path=None):
            if name == 'logging':
                sys.meta_path.remove(self)
                return self

        def load_module(self, name):
            module = __import__(name)
            watch_logging(module)
            return module


def watched(loader, run_module):
    """Stands in for a function of the loader, until it is called."""
    def exec_module(module):
        run_module(module)
        del loader.exec_module
        watch_logging(module)
    return exec_module


def watch_logging(module):
    try:
        part('telling')
        part('records')
        watch_records(module)
    except ImportError:
        # The connection has ended, and with it those who would want them.
        pass


# What the controller sends behind this part.
log_level = 30
if 'logging' in sys.modules:
    # A `.pth` file has imported it. Not on this thread, which reads the answer.
    start_new_thread(watch_logging, (sys.modules['logging'],))
else:
    sys.meta_path.insert(0, Watch())
