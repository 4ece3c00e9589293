"""What becomes of files that come, for each kind of thing that may be in their place: docs/files.md."""
import marshal
import os
import stat
import struct
import sys
import unittest

from harness import CANCEL, FAIL, OLD, REPLY, eventually, function, namespace
from streaming import CREDIT, DATA, END, StreamCase, content

ROOT = os.geteuid() == 0
FOLDER, FILE, LINK = 1, 2, 3


def entry(kind, name, mode=0o755):
    return bytes(bytearray((kind,))) + struct.pack('>H', len(name)) + name + struct.pack('>Lq', mode, 10 ** 18)


class Targets(StreamCase):
    def write(self, name=b'file', data=b'old', mode=None):
        path = os.path.join(self.folder, name)
        with open(path, 'wb') as f:
            f.write(data)
        if mode is not None:
            os.chmod(path, mode)
        return path

    def mode(self, path):
        return stat.S_IMODE(os.lstat(path).st_mode)

    def send_to(self, agent, request, data):
        agent.send(request, DATA, 0, data)
        agent.send(request, END, 0, b'')
        operation, _, payload = agent.answer(request)
        return operation, marshal.loads(payload) if payload[:1] == b'{' else payload

    def put(self, path, data=b'new', agent=None, **options):
        """The dict of the reply."""
        agent = agent or self.streaming()
        operation, answer = self.send_to(agent, agent.put(path, **options), content(data))
        self.assertEqual(operation, REPLY, answer)
        return answer

    def refused(self, path, agent=None, **options):
        agent = agent or self.streaming()
        operation, answer = self.send_to(agent, agent.put(path, **options), content(b'new'))
        self.assertEqual(operation, FAIL, answer)
        return answer

    def names(self):
        return sorted(os.listdir(self.folder))

    def test_new_file_is_never_more_open_than_asked(self):
        agent = self.streaming()
        mask = os.umask(0o027)
        os.umask(mask)
        for mode in 0o600, 0o755, 0o640, 0o777:
            path = os.path.join(self.folder, b'%o' % mode if not OLD else '%o' % mode)
            self.put(path, agent=agent, default=mode)
            self.assertEqual(self.mode(path), mode & ~mask)
        # What is asked for has nothing to do with the umask.
        self.put(self.path, agent=agent, mode=0o666)
        self.assertEqual(self.mode(self.path), 0o666)

    def test_umask_of_the_agent_holds(self):
        old = os.umask(0o077)
        try:
            agent = self.streaming()
        finally:
            os.umask(old)
        self.put(self.path, agent=agent)
        self.assertEqual(self.mode(self.path), 0o600)
        self.assertEqual(agent.call('os:umask', 0o022), 0o077)

    def test_data_of_packages_is_read_after_transfers_too(self):
        agent = self.streaming({'shop': b'', 'shop.deep': b''})
        agent.data = dict((('shop', name), name.encode()) for name in ('1', '2', '3'))
        read = function('import pkgutil\ndef f(name): return bytearray(pkgutil.get_data("shop", name))')
        for name in '1', '2', '3':
            self.assertEqual(self.put(self.path, agent=agent)['size'], 3)
            self.assertEqual(self.put_folder(agent, entry(FOLDER, b'') + b'\0')[0], REPLY)
            self.assertEqual(agent.call(read, name), name.encode())

    def test_umask_is_found_without_proc_and_left_as_it_was(self):
        space = namespace('guard', 'ending', 'leaving', 'stream', 'targets')
        old = os.umask(0o037)
        try:
            self.assertEqual(space['umask'](), 0o037)
            space['open'] = lambda *args: os.stat('/nonexistent')
            self.assertEqual(space['umask'](), 0o037)
            self.assertEqual(os.umask(0o037), 0o037)
        finally:
            os.umask(old)

    def test_file_that_is_replaced_keeps_its_mode(self):
        agent = self.streaming()
        for mode in 0o600, 0o640, 0o755, 0o444:
            path = self.write(b'x', mode=mode)
            answer = self.put(path, agent=agent, default=0o777)
            self.assertEqual((self.mode(path), answer['in_place']), (mode, False))
            with open(path, 'rb') as f:
                self.assertEqual(f.read(), b'new')
            os.unlink(path)
        self.write(mode=0o600)
        self.put(self.path, agent=agent, mode=0o640)
        self.assertEqual(self.mode(self.path), 0o640)

    @unittest.skipUnless(ROOT, 'only root has files of others')
    def test_file_that_is_replaced_keeps_its_owner(self):
        agent = self.streaming()
        self.write(mode=0o640)
        os.chown(self.path, 4711, 50)
        self.put(self.path, agent=agent)
        info = os.stat(self.path)
        self.assertEqual((info.st_uid, info.st_gid, self.mode(self.path)), (4711, 50, 0o640))
        self.put(self.path, agent=agent, owner=u'4712')
        info = os.stat(self.path)
        self.assertEqual((info.st_uid, info.st_gid, self.mode(self.path)), (4712, 0, 0o640))
        os.chmod(self.path, 0o4755)
        self.put(self.path, agent=agent)
        self.assertEqual(self.mode(self.path), 0o4755)

    @unittest.skipUnless(hasattr(os, 'setxattr'), 'this Python knows no extended attributes')
    def test_file_that_is_replaced_keeps_its_extended_attributes(self):
        self.write()
        os.setxattr(self.path, 'user.note', b'kept')
        self.put(self.path)
        self.assertEqual(os.getxattr(self.path, 'user.note'), b'kept')

    def test_links_are_followed_and_stay(self):
        agent = self.streaming()
        os.mkdir(os.path.join(self.folder, b'real'))
        for to, name in (b'real/a', b'file'), (b'file', b'second'):
            os.symlink(to, os.path.join(self.folder, name))
        # One that leads nowhere is followed as well.
        self.assertEqual(self.put(self.path, b'first', agent)['path'], os.path.join(self.folder, b'file'))
        self.put(os.path.join(self.folder, b'second'), b'again', agent)
        with open(os.path.join(self.folder, b'real/a'), 'rb') as f:
            self.assertEqual(f.read(), b'again')
        self.assertTrue(all(os.path.islink(os.path.join(self.folder, n)) for n in (b'file', b'second')))
        self.assertEqual(os.listdir(os.path.join(self.folder, b'real')), [b'a'])
        os.symlink(b'loop', os.path.join(self.folder, b'loop'))
        self.refused(os.path.join(self.folder, b'loop'), agent)
        self.assertEqual(self.refused(self.path, agent, replace=False)['errno'], 17)

    def test_file_goes_into_a_folder_under_its_name(self):
        agent = self.streaming()
        os.mkdir(self.path)
        os.symlink(b'file', os.path.join(self.folder, b'link'))
        for path in self.path, self.path + b'/', os.path.join(self.folder, b'link'):
            inner = os.path.join(path, b'name')
            self.assertEqual(self.put(path, agent=agent, name=b'name')['path'], inner)
            os.unlink(inner)
            # What has no name cannot.
            self.assertEqual(self.refused(path, agent)['errno'], 21)
        os.mkdir(os.path.join(self.path, b'name'))
        self.assertEqual(self.refused(self.path, agent, name=b'name')['errno'], 21)

    def test_missing_folder_is_told_as_such(self):
        agent = self.streaming()
        failure = self.refused(os.path.join(self.folder, b'new/deeper/file'), agent)
        self.assertEqual((failure['errno'], failure['message']), (2, 'Its folder does not exist'))
        failure = self.refused(os.path.join(self.folder, b'new/'), agent, name=b'name')
        self.assertEqual((failure['errno'], failure['message']), (2, 'The folder does not exist'))
        self.write()
        self.assertEqual(self.refused(self.path + b'/', agent, name=b'name')['errno'], 20)
        self.assertEqual(self.names(), [b'file'])

    def test_home_stands_for_itself_and_those_of_others(self):
        agent = self.streaming(env=dict(os.environ, HOME=self.folder.decode()))
        self.assertEqual(self.put(b'~/file', agent=agent)['path'], self.path)
        self.assertEqual(self.read(), b'new')
        request = agent.fetch(b'~/file')
        agent.send(request, CREDIT, 0, struct.pack('>L', 1 << 20))
        self.assertEqual(agent.answer(request)[0], REPLY)
        self.assertEqual(self.put(b'~', agent=agent, name=b'other')['path'], os.path.join(self.folder, b'other'))
        failure = self.refused(b'~no-such-user-here/x', agent)
        self.assertEqual((failure['errno'], failure['message']), (2, 'there is no user no-such-user-here'))
        import pwd
        request = agent.fetch(b'~root/no-such-file')
        self.assertEqual(agent.failure(request)['path'], pwd.getpwnam('root').pw_dir.encode() + b'/no-such-file')

    def test_working_folder_that_is_gone_matters_to_relative_paths_alone(self):
        gone = os.path.join(self.folder, b'gone')
        os.mkdir(gone)
        agent = self.streaming(options={u'cwd': gone.decode()})
        agent.call('os:getcwd')
        os.rmdir(gone)
        self.put(self.path, agent=agent)
        path = self.put(b'', agent=agent, default=0o600)['path']
        self.assertEqual(self.mode(path), 0o600)
        os.unlink(path)
        self.assertEqual(self.refused(b'relative', agent)['errno'], 2)

    def test_devices_and_pipes_are_written_into_and_stay(self):
        agent = self.streaming()
        null = os.stat('/dev/null')
        for to in b'/dev/null', b'/proc/self/fd/1':
            link = os.path.join(self.folder, b'link')
            os.symlink(to, link)
            for path in to, link:
                self.assertTrue(self.put(path, agent=agent)['in_place'])
            self.assertTrue(os.path.islink(link))
            os.unlink(link)
        after = os.stat('/dev/null')
        self.assertEqual((null.st_ino, null.st_mode, null.st_uid), (after.st_ino, after.st_mode, after.st_uid))
        self.assertEqual(self.refused(b'/dev/null', agent, mode=0o600)['message'], 'A device keeps its mode and owner')
        self.assertEqual(self.refused(b'/dev/null', agent, replace=False)['errno'], 17)

    def test_fifo_gets_the_content_once_somebody_reads(self):
        agent = self.streaming()
        os.mkfifo(self.path)
        data = b'x' * 300000
        request = agent.put(self.path)
        agent.send(request, DATA, 0, content(data))
        agent.send(request, END, 0, b'')
        self.assertEqual(agent.call('operator:neg', 1), -1)
        got = []
        with open(self.path, 'rb') as f:
            got.append(f.read())
        self.assertEqual(agent.answer(request)[0], REPLY)
        self.assertEqual(got, [data])
        self.assertTrue(stat.S_ISFIFO(os.stat(self.path).st_mode))

    def test_transfer_to_a_fifo_that_is_not_read_can_be_cancelled(self):
        agent = self.streaming()
        os.mkfifo(self.path)
        request = agent.put(self.path)
        agent.send(request, DATA, 0, content(b'x' * 300000))
        agent.send(request, CANCEL, 0, b'')
        self.assertEqual(agent.answer(request)[0], FAIL)
        # And when nobody reads on.
        request = agent.put(self.path)
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        agent.send(request, DATA, 0, content(b'x' * 300000))
        self.assertTrue(eventually(lambda: self.some(reader)))
        agent.send(request, CANCEL, 0, b'')
        self.assertEqual(agent.answer(request)[0], FAIL)

    def some(self, fd):
        try:
            return os.read(fd, 1)
        except (IOError, OSError):
            return b''

    def test_traps_in_folders_where_all_may_write_are_refused(self):
        if not ROOT:
            return self.skipTest('only root has files of others')
        agent = self.streaming()
        shared = os.path.join(self.folder, b'shared')
        os.mkdir(shared)
        os.chmod(shared, 0o1777)
        secret = self.write(b'secret', b'secret')
        for trap in (lambda p: os.symlink(secret, p)), (lambda p: self.write(b'shared/x', mode=0o666)), os.mkfifo:
            path = os.path.join(shared, b'x')
            trap(path)
            os.lchown(path, 4711, 4711)
            before = os.lstat(path)
            self.assertEqual(self.refused(path, agent)['errno'], 13)
            self.assertEqual(os.lstat(path)[:4], before[:4])
            # One's own is none.
            os.unlink(path)
        os.symlink(secret, path)
        self.put(path, agent=agent)
        with open(secret, 'rb') as f:
            self.assertEqual(f.read(), b'new')
        self.assertEqual(os.listdir(shared), [b'x'])

    def test_spare_name_is_new_each_time_and_what_others_left_is_not_touched(self):
        agent = self.streaming()
        self.write()
        others = [self.write(b'.chopsticks-' + name, b'other') for name in (b'0123', b'x' * 16)]
        seen = set()
        for _ in range(3):
            self.put(self.path, agent=agent)
            seen.update(n for n in os.listdir(self.folder))
        self.assertEqual(sorted(os.path.join(self.folder, n) for n in seen), sorted(others + [self.path]))

    def test_what_a_kill_has_left_is_taken_away_by_the_next_transfer_alone_if_it_is_ones_own(self):
        agent = self.streaming()
        left = self.write(b'.chopsticks-0123456789abcdef', b'left')
        held = self.write(b'.chopsticks-0123456789abcdee', b'held')
        linked = self.write(b'.chopsticks-0123456789abcdea', b'linked')
        os.link(linked, os.path.join(self.folder, b'precious'))
        os.symlink(b'precious', os.path.join(self.folder, b'.chopsticks-0123456789abcdeb'))
        kept = [held, linked]
        if ROOT:
            kept.append(self.write(b'.chopsticks-0123456789abcded', b'another\'s'))
            os.chown(kept[-1], 4711, 4711)
        from fcntl import LOCK_EX, flock
        with open(held, 'rb') as f:
            flock(f.fileno(), LOCK_EX)
            self.put(self.path, agent=agent)
        self.assertFalse(os.path.exists(left))
        self.assertTrue(all(os.path.exists(path) for path in kept))

    def test_agent_that_exits_while_it_replaces_leaves_nothing_for_the_next(self):
        """Between the link and the rename there is a name."""
        self.write()
        for nameless in True, False:
            agent = self.streaming()
            self.put(self.path, b'old', agent)
            agent.call(function(
                'import os, sys\ndef f(nameless):\n    f = sys._getframe()\n'
                '    while "linkat" not in f.f_globals: f = f.f_back\n'
                '    if not nameless: f.f_globals["linkat"] = False\n'
                '    os.rename = lambda *args: os._exit(3)\n'), nameless)
            request = agent.put(self.path)
            agent.send(request, DATA, 0, content(b'new'))
            agent.send(request, END, 0, b'')
            agent.wait(lambda: agent.eof)
            self.assertEqual((agent.process.wait(), self.read(), len(self.names())), (3, b'old', 2))
            self.put(self.path, b'newer')
            self.assertEqual((self.read(), self.names()), (b'newer', [b'file']))

    @unittest.skipUnless(ROOT, 'only root can become another')
    def test_file_of_another_that_may_be_written_keeps_its_owner(self):
        self.write(mode=0o666)
        os.chown(self.path, 4711, 4711)
        before = os.stat(self.path)
        os.chmod(self.folder, 0o777)
        agent = self.streaming(become=4712)
        self.assertTrue(self.put(self.path, agent=agent)['in_place'])
        after = os.stat(self.path)
        self.assertEqual((after.st_ino, after.st_uid, self.mode(self.path)), (before.st_ino, 4711, 0o666))
        self.assertEqual((self.read(), self.names()), (b'new', [b'file']))
        # As cp, and not as mv.
        os.chmod(self.path, 0o644)
        self.assertEqual(self.refused(self.path, agent)['errno'], 13)
        # Where no new file can be made, either.
        os.chmod(self.path, 0o666)
        os.chmod(self.folder, 0o755)
        self.assertTrue(self.put(self.path, b'newest', agent)['in_place'])
        self.assertEqual((self.read(), self.names()), (b'newest', [b'file']))
        self.assertEqual(self.refused(os.path.join(self.folder, b'new'), agent)['errno'], 13)
        # And where only its owner may take it away.
        os.chown(self.folder, 4713, 4713)
        os.chmod(self.folder, 0o777)
        self.assertTrue(self.put(self.path, b'last', agent)['in_place'])
        self.assertEqual(self.read(), b'last')

    def put_folder(self, agent, data, **options):
        request = agent.put(os.path.join(self.folder, b'tree'), folder=True, keep=False, **options)
        return self.send_to(agent, request, data)

    def test_folder_that_is_there_keeps_its_mode_and_a_new_one_is_as_its_source(self):
        agent = self.streaming()
        tree = os.path.join(self.folder, b'tree')
        os.mkdir(tree)
        if ROOT:
            os.chown(tree, 4711, 50)
        os.chmod(tree, 0o3775)
        data = (entry(FOLDER, b'') + entry(FOLDER, b'new', 0o4750) + b'\0' + entry(FOLDER, b'there', 0o700) +
                entry(FILE, b'x', 0o640) + content(b'x') + b'\0\0')
        os.mkdir(os.path.join(tree, b'there'), 0o711)
        os.chmod(os.path.join(tree, b'there'), 0o2711)
        before = os.stat(tree)
        for options in {}, {'owner': u'4712'} if ROOT else {}:
            operation, answer = self.put_folder(agent, data, **options)
            self.assertEqual(operation, REPLY, answer)
            after = os.stat(tree)
            self.assertEqual([after.st_mode, after.st_uid, after.st_gid],
                             [before.st_mode, before.st_uid, before.st_gid])
            self.assertEqual(self.mode(os.path.join(tree, b'there')), 0o2711)
        # The group's bit comes from the folder around it.
        self.assertEqual(self.mode(os.path.join(tree, b'new')), 0o2750)
        self.assertEqual(self.mode(os.path.join(tree, b'there/x')), 0o640)

    @unittest.skipUnless(ROOT, 'only root can become another')
    def test_folder_of_another_can_be_written_into(self):
        tree = os.path.join(self.folder, b'tree')
        os.mkdir(tree)
        os.chmod(self.folder, 0o755)
        os.chmod(tree, 0o777)
        agent = self.streaming(become=4712)
        data = entry(FOLDER, b'') + entry(FILE, b'x', 0o640) + content(b'x') + b'\0'
        operation, answer = self.put_folder(agent, data)
        self.assertEqual(operation, REPLY, answer)
        self.assertEqual((self.mode(tree), os.listdir(tree)), (0o777, [b'x']))

    def test_links_within_a_folder_are_replaced_and_special_files_refused(self):
        agent = self.streaming()
        tree = os.path.join(self.folder, b'tree')
        os.mkdir(tree)
        outside = self.write(b'outside')
        os.symlink(outside, os.path.join(tree, b'x'))
        data = entry(FOLDER, b'') + entry(FILE, b'x') + content(b'new') + b'\0'
        self.assertEqual(self.put_folder(agent, data)[0], REPLY)
        with open(outside, 'rb') as f:
            self.assertEqual(f.read(), b'old')
        self.assertFalse(os.path.islink(os.path.join(tree, b'x')))
        link = entry(FOLDER, b'') + entry(LINK, b'x') + struct.pack('>H', 2) + b'to' + b'\0'
        self.assertEqual(self.put_folder(agent, link)[0], REPLY)
        self.assertEqual(os.readlink(os.path.join(tree, b'x')), b'to')
        os.unlink(os.path.join(tree, b'x'))
        os.mkfifo(os.path.join(tree, b'x'))
        for wrong in data, link:
            self.assertEqual(self.put_folder(agent, wrong)[0], FAIL)
        self.assertEqual(os.listdir(tree), [b'x'])

    def test_folder_that_is_swapped_for_a_link_leads_nowhere(self):
        agent = self.streaming()
        tree, outside = os.path.join(self.folder, b'tree'), os.path.join(self.folder, b'outside')
        os.mkdir(outside)
        request = agent.put(tree, folder=True, keep=False)
        agent.send(request, DATA, 0, entry(FOLDER, b'') + entry(FOLDER, b'sub') + entry(FILE, b'a') + content(b'a'))
        self.assertTrue(eventually(lambda: os.path.exists(os.path.join(tree, b'sub/a'))))
        os.rename(os.path.join(tree, b'sub'), os.path.join(self.folder, b'moved'))
        os.symlink(outside, os.path.join(tree, b'sub'))
        operation, answer = self.send_to(agent, request, entry(FILE, b'b') + content(b'b') + b'\0\0')
        self.assertEqual(operation, REPLY, answer)
        self.assertEqual(os.listdir(outside), [])
        self.assertEqual(sorted(os.listdir(os.path.join(self.folder, b'moved'))), [b'a', b'b'])

    def test_transfers_of_folders_leave_no_descriptors_open(self):
        agent = self.streaming()
        data = entry(FOLDER, b'') + entry(FOLDER, b'sub') + entry(FILE, b'a') + content(b'a')
        for _ in range(2):
            # Python 2.7 keeps /dev/urandom, once it has replaced something.
            self.put_folder(agent, data + b'\0\0')
        before = len(os.listdir('/proc/%d/fd' % agent.process.pid))
        for _ in range(3):
            self.assertEqual(self.put_folder(agent, data + b'\0\0')[0], REPLY)
            self.assertEqual(self.put_folder(agent, data)[0], FAIL)
        self.assertTrue(eventually(lambda: len(os.listdir('/proc/%d/fd' % agent.process.pid)) <= before))

    def fetched(self, agent, act):
        """Fetches the file in two parts, and does something in between."""
        request = agent.fetch(self.path)
        agent.send(request, CREDIT, 0, struct.pack('>L', 1000))
        agent.wait(lambda: sum(map(len, agent.of(request, DATA))) == 1000)
        act()
        agent.send(request, CREDIT, 0, struct.pack('>L', 1 << 24))
        operation = agent.answer(request)[0]
        return operation, b''.join(agent.of(request, DATA))

    def append(self, size):
        with open(self.path, 'ab') as f:
            f.write(b'y' * size)

    def test_file_that_grows_comes_as_it_was(self):
        data = b'x' * 1500000
        agent = self.streaming()
        for size in 1, 100, 3000000:
            self.write(data=data)
            operation, got = self.fetched(agent, lambda size=size: self.append(size))
            self.assertEqual(operation, REPLY)
            self.assertEqual((got.count(b'x'), got[:8]), (len(data), struct.pack('>Q', len(data))))
        # One that is cut or overwritten does not.
        for change in (lambda: os.truncate(self.path, 1400000) if not OLD else open(self.path, 'r+b').truncate(9)), (
                lambda: self.write(data=b'z' * len(data))):
            self.write(data=data)
            os.utime(self.path, (1, 1))
            self.assertEqual(self.fetched(agent, change)[0], FAIL)

    def test_size_that_differs_from_what_was_announced_is_refused(self):
        agent = self.streaming()
        for size, good in (2, False), (4, False), (0, True), (3, True):
            request = agent.put(self.path)
            operation, _ = self.send_to(agent, request, struct.pack('>Q', size) + content(b'abc')[8:])
            self.assertEqual(operation, REPLY if good else FAIL)


def enter_namespace(text):
    return ['unshare', '-m', 'sh', '-c', text]


@unittest.skipUnless(ROOT and sys.platform.startswith('linux'), 'mounts need root')
class Mounts(StreamCase):
    def test_mount_point_is_written_into(self):
        outside = os.path.join(self.folder, b'outside')
        for path in outside, self.path:
            with open(path, 'wb') as f:
                f.write(b'old')
        os.chmod(outside, 0o640)
        agent = self.streaming(around=enter_namespace(
            'mount --bind "$0" "$1" && shift && exec "$@"') + [outside.decode(), self.path.decode()])
        request = agent.put(self.path)
        agent.send(request, DATA, 0, content(b'new'))
        agent.send(request, END, 0, b'')
        operation, _, payload = agent.answer(request)
        self.assertEqual(operation, REPLY, payload)
        self.assertTrue(marshal.loads(payload)['in_place'])
        with open(outside, 'rb') as f:
            self.assertEqual((f.read(), stat.S_IMODE(os.stat(outside).st_mode)), (b'new', 0o640))
        self.assertEqual(self.read(), b'old')
        self.assertEqual(sorted(os.listdir(self.folder)), [b'file', b'outside'])
