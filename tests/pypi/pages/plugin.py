"""A plugin."""
import pluggy


@pluggy.HookimplMarker('pages')
def greeting():
    return 'from an entry point'
