"""The metadata of the codebase's distributions, and what `pkg_resources` has to know about the codebase."""

registered = []


def infos(path='/chopsticks:'):
    """The folders (of old, files) with metadata in a root."""
    top = at(path)
    return [top.joinpath(name) for name in sorted(top.listing() if top else ()) if name.endswith(
        ('.dist-info', '.egg-info'))]


def normal(name):
    return name.replace('-', '_').replace('.', '_').lower()


def distributions(context=None):
    """For `importlib.metadata`, and the package `importlib_metadata` that there was before."""
    module = sys.modules[type(context).__module__ if context else 'importlib.metadata']
    wanted = getattr(context, 'name', None)
    for path in getattr(context, 'path', None) or ['/chopsticks:']:
        if is_ours(path):
            for info in infos(path):
                if wanted is None or normal(info.name.rpartition('.')[0].partition('-')[0]) == normal(wanted):
                    yield module.PathDistribution(info)


def register():
    """Lets `pkg_resources` find data and distributions, once it has begun to look for any."""
    known = sys.modules['pkg_resources']
    if registered or not hasattr(known, 'DistInfoDistribution'):
        return
    registered.append(known)

    class Provider(known.NullProvider):
        def __init__(self, module):
            known.NullProvider.__init__(self, module)
            here = of_key(self.loader.key)
            self.module_path = str(here if self.loader.kind else here.parent)

        def _has(self, path):
            return at(path).exists()

        def _isdir(self, path):
            return at(path).is_dir()

        def _listdir(self, path):
            return sorted(at(path).listing())

        def _get(self, path):
            return at(path).read_bytes()

        def get_resource_filename(self, manager, name):
            part('disk')
            return on_disk(at(self._fn(self.module_path, name)))

    class Metadata(Provider):
        def __init__(self, info):
            self.loader, self.module_path, self.egg_info = None, '/chopsticks:', str(info)

    def find(finder, path, only=False):
        for info in infos(path):
            if info.is_dir():
                yield known.Distribution.from_location(path, info.name, Metadata(info))

    known.register_loader_type(Zipped, Provider)
    known.register_finder(Finder, find)
    known.register_namespace_handler(Finder, lambda *_: None)
