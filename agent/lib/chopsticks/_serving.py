"""The modules and data that inner agents are served: those of this agent, or else those of its own controller."""
import marshal
import sys

from chopsticks._agent import OLD, agent, allocate_lock, as_bytes, text
from chopsticks._constants import FAIL, IMPORT, MARSHAL, REPLY, RESOURCE

# Bytes of files that are kept for the next who asks, and of all of them.
SMALL, KEPT, OVERHEAD = 1 << 16, 1 << 22, 500

lock = allocate_lock()
asking = {}         # question -> [a lock, how many ask it]
texts = {}          # parts of the agent that were asked for
files = {}          # (package, path) -> answer
kept = [0]


def entry(name):
    """What a connection is sent of a module that is at hand, or `None`."""
    loader = agent.get('loaded', {}).get(name)
    if loader:
        found = loader.kind, loader.file, loader.source, agent['listing'].get(name, ())
    else:
        found = agent['modules'].get(name)
        if not found:
            return None
    kind, file, source, below = found
    file = text(file) if file else file
    return text(name), kind, file, as_bytes(source), [text(leaf) for leaf in below]


def is_listed(name):
    """Whether the codebase has, or may have, a module: an agent that guesses is not let through to the controller."""
    parent, _, leaf = name.rpartition('.')
    return bool(leaf) and agent['may_have'](parent, leaf)


def cached(name):
    """The answer to the question for a module or a part, if it is at hand."""
    if name[:1] == '.':
        if not name[1:].replace('_', '').isalpha():
            return REPLY, MARSHAL, marshal.dumps(None, 2)
        found = texts.get(name)
        head = ('# %s\n' % name[1:]).encode()
        for part in agent['parts'] if not found else ():
            if part.startswith(head):
                found = part
        found = found and (text(name), 0, u'', found, [])
    else:
        found = entry(name) if name else None
    if found or name[:1] not in ('.', '/') and not is_listed(name):
        return REPLY, MARSHAL, marshal.dumps(found, 2)


def once(question, look, ask):
    """Returns what `look` finds, else what `ask` returns: of those who look for one thing, one asks."""
    with lock:
        turn = asking.setdefault(question, [allocate_lock(), 0])
        turn[1] += 1
    try:
        with turn[0]:
            return look() or ask()
    finally:
        with lock:
            turn[1] -= 1
            if not turn[1]:
                asking.pop(question, None)


def module(name, wanted):
    """The answer to the question for a module or a part: operation, format, payload."""
    def ask():
        operation, form, payload = agent['ask'](IMPORT, MARSHAL, marshal.dumps((text(name), wanted), 2))
        if operation == REPLY:
            found = marshal.loads(payload)
            if found and name[:1] == '.':
                texts[name] = found[3]
            elif name[:1] == '/':
                # A place: who asks for it by name means another module.
                pass
            elif found:
                agent['modules'][name] = found[1:]
                agent['listing'][name] = found[4]
            else:
                # Not to be asked for again.
                parent, _, leaf = name.rpartition('.')
                agent['listing'][parent] = [n for n in agent['listing'].get(parent, ()) if n != leaf] + ['!' + leaf]
        return operation, form, payload
    return once(name, lambda: cached(name), ask)


def part(name):
    """The source of a part of the agent."""
    return marshal.loads(module('.' + name, None)[2])[3]


def resource(package, path):
    def ask():
        answer = agent['ask'](RESOURCE, MARSHAL, marshal.dumps((text(package), text(path)), 2))
        # What is asked is kept as well.
        size = len(answer[2]) + len(package) + len(path) + OVERHEAD
        if answer[0] == REPLY and size <= SMALL:
            with lock:
                kept[0] += size
                if kept[0] > KEPT:
                    files.clear()
                    kept[0] = size
                files[package, path] = answer
        return answer
    return once((package, path), lambda: files.get((package, path)), ask)


def answer(operation, question):
    """Answers what an inner agent asks; the question is a plain value of whatever kind."""
    try:
        if operation == IMPORT:
            name, wanted = question if type(question) is tuple else (question, None)
            if type(name) is type(u'') and type(wanted) in (type(u''), type(None)):
                return module(str(name) if OLD else name, wanted)
        elif type(question) is tuple and list(map(type, question)) == [type(u'')] * 2:
            return resource(*question)
        why = u'the request is not valid'
    except Exception as e:
        # Such as when this agent ends.
        why = text('%s: %s' % (type(e).__name__, e))
    return FAIL, MARSHAL, marshal.dumps({u'kind': u'import', u'message': why}, 2)


def at_hand(name):
    """The entries of a module, of the packages it is in, and of what it has imported, as far as they are here."""
    found, work = {}, [name]
    while work and len(found) < 1000:
        name = work.pop()
        if name in found:
            continue
        entry_of = entry(name)
        if not entry_of:
            continue
        found[name] = entry_of
        if '.' in name:
            work.append(name.rpartition('.')[0])
        module_of = sys.modules.get(name)
        for value in list(vars(module_of).values()) if module_of else ():
            other = value.__name__ if type(value) is type(sys) else getattr(type(value), '__module__', None)
            if type(value) is type(at_hand) or type(value) is type:
                other = value.__module__
            if type(other) is str:
                work.append(other)
    return found
