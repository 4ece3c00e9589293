"""Files to hosts and from them."""
import hashlib
import os
import shutil
import tempfile

from chopsticks.group import Group
from chopsticks.tunnel import Local, RemoteException

from test_api_calls import raised


class Folder(object):
    """A folder that is gone afterwards."""

    def __enter__(self):
        self.path = os.path.realpath(tempfile.mkdtemp(prefix='chopsticks-api-'))
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path)

    def file(self, name, data=None):
        path = os.path.join(self.path, name)
        if data is not None:
            with open(path, 'wb') as f:
                f.write(data)
        return path


def content(path):
    with open(path, 'rb') as f:
        return f.read()


def test_put_and_fetch_have_exactly_these_results():
    with Folder() as folder, Local() as tun:
        for data in b'', b'abc', b'x' * 3000000:
            source, there, back = folder.file('source', data), folder.file('there'), folder.file('back')
            sha1 = hashlib.sha1(data).hexdigest()
            assert tun.put(source, there, mode=0o640) == {'remote_path': there, 'size': len(data), 'sha1sum': sha1}
            assert content(there) == data and os.stat(there).st_mode & 0o777 == 0o640
            assert tun.fetch(there, back) == {
                'local_path': back, 'remote_path': there, 'size': len(data), 'sha1sum': sha1}
            assert content(back) == data


def test_keywords_are_those_of_the_original():
    with Folder() as folder, Local() as tun:
        source, there, back = folder.file('source', b'a'), folder.file('there'), folder.file('back')
        assert tun.put(local_path=source, remote_path=there, mode=0o600)['remote_path'] == there
        assert tun.fetch(remote_path=there, local_path=back)['local_path'] == back


def test_temporary_files():
    with Folder() as folder, Local() as tun:
        source = folder.file('source', b'abc')
        put, fetched = tun.put(source), tun.fetch(source)
        try:
            assert content(put['remote_path']) == content(fetched['local_path']) == b'abc'
        finally:
            os.unlink(put['remote_path'])
            os.unlink(fetched['local_path'])


def test_files_that_are_not_there():
    with Folder() as folder, Local('here') as tun:
        error = raised(tun.fetch, folder.file('nothing'), folder.file('back'))
        assert isinstance(error, RemoteException) and 'nothing' in str(error)
        assert not os.path.exists(folder.file('back'))
        assert isinstance(raised(tun.put, folder.file('nothing'), folder.file('there')), (EnvironmentError, RemoteException))
        assert not os.path.exists(folder.file('there'))


def test_groups_copy_files():
    with Folder() as folder, Group([Local('a'), Local('b')]) as g:
        source = folder.file('source', b'abc')
        found = g.put(source, folder.file('there'))
        assert [sorted(value) for value in found.values()] == [['remote_path', 'sha1sum', 'size']] * 2
        found = g.fetch(source, folder.file('got-{host}'))
        assert [value['local_path'] for value in found.values()] == [folder.file('got-a'), folder.file('got-b')]
        assert content(folder.file('got-b')) == b'abc'
        assert isinstance(raised(g.fetch, source, folder.file('one')), ValueError)
        for braces in '{nope}', '{', '{0}', '{host.nope}':
            error = raised(g.fetch, source, folder.file(braces))
            assert isinstance(error, ValueError) and 'braces that are not {host}' in str(error)
        found = g.fetch(source)
        for value in found.values():
            assert content(value['local_path']) == b'abc'
            os.unlink(value['local_path'])
