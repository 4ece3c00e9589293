# coding: utf-8
"""The package `chopsticks` that every host can import."""
import os
import socket
import subprocess
import sys
import unittest

LIB = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'lib')
sys.path.insert(0, LIB)
from chopsticks import facts, helpers  # noqa: E402

# As Linux writes them: a default route, a network, one that is down, one that is refused.
ROUTE4 = '''\
Iface|Destination|Gateway |Flags|RefCnt|Use|Metric|Mask||MTU|Window|IRTT
eth0|00000000|0101A8C0|0003|0|0|100|00000000|0|0|0
eth0|0001A8C0|00000000|0001|0|0|0|00FFFFFF|0|0|0
eth1|0002A8C0|00000000|0000|0|0|0|00FFFFFF|0|0|0
*|0003A8C0|00000000|0201|0|0|0|00FFFFFF|0|0|0
'''.replace('|', '\t')
ROUTE6 = '''\
fd000000000000000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 fd000000000000000000000000000001 00000400 00000001 00000000 00000003     eth0
00000000000000000000000000000001 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000002 00000000 80200001       lo
ff000000000000000000000000000000 08 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000004 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo
'''  # noqa: E501
MACOS = '''\
Routing tables

Internet:
Destination        Gateway            Flags               Netif Expire
default            192.168.1.1        UGScg                 en0
127                127.0.0.1          UCS                   lo0
127.0.0.1          127.0.0.1          UH                    lo0
169.254            link#11            UCS                   en0      !
192.168.1          link#11            UCS                   en0      !
192.168.1.7        8:0:27:1:2:3       UHLWIi                en0   1187
10.8/13            10.9.0.1           UGSc                utun4

Internet6:
Destination                             Gateway                                 Flags               Netif Expire
default                                 fe80::1%en0                             UGcg                  en0
::1                                     ::1                                     UHL                   lo0
fe80::%lo0/64                           fe80::1%lo0                             UcI                   lo0
2001:db8:1::/48                         link#11                                 UC                    en0
'''
OPENBSD = '''\
Routing tables

Internet:
Destination        Gateway            Flags   Refs      Use   Mtu  Prio Iface
default            10.0.2.2           UGS        4       18     -     8 em0
127/8              127.0.0.1          UGRS       0        0 32768     8 lo0
10.0.2/24          10.0.2.15          UCn        1        0     -     4 em0
'''


def short(route):
    return '%(destination)s/%(prefix_len)s %(gateway)s %(interface)s %(metric)s' % route


class Facts(unittest.TestCase):
    def lacking(self, *there, **replaced):
        """Replaces what facts read: only the files `there` exist, with their text."""
        files = dict(there)
        replaced['contents'] = files.get
        for name, value in replaced.items():
            self.addCleanup(setattr, facts, name, getattr(facts, name))
            setattr(facts, name, value)

    def test_all_have_what_each_has(self):
        found = facts.all()
        names = ['cpu_count', 'host_name', 'ip', 'kernel', 'memory', 'os', 'python_executable', 'python_version',
                 'routes']
        self.assertEqual(sorted(found), names)
        for name in names:
            if name not in ('memory', 'python_version'):
                self.assertEqual(found[name], getattr(facts, name)())
        self.assertEqual(found['python_version'], list(sys.version_info[:3]))
        self.assertEqual(facts.python_version(), list(sys.version_info))
        self.assertEqual(facts.python_version(short=True), list(sys.version_info[:2]))
        self.assertEqual(found['python_executable'], sys.executable)
        self.assertEqual(found['host_name'], socket.gethostname())
        self.assertEqual(found['kernel']['name'], os.uname()[0])
        self.assertTrue(found['os']['id'] and found['os']['name'])
        self.assertTrue(found['memory']['total'] >= (found['memory']['available'] or 0) > 0)

    def test_cpus_are_those_that_may_be_used(self):
        text = subprocess.check_output('nproc 2>/dev/null || echo 0', shell=True)
        if int(text):
            self.assertEqual(facts.cpu_count(), int(text))
        self.lacking()
        self.assertGreaterEqual(facts.cpu_count(), 1)
        self.lacking(('/proc/self/status', 'Name:\tx\nCpus_allowed:\t00000000,0000000b\n'))
        if not hasattr(os, 'sched_getaffinity'):
            self.assertEqual(facts.cpu_count(), 3)

    def test_routes_of_linux(self):
        if sys.byteorder != 'little':
            self.skipTest('the addresses below are of a little-endian machine')
        self.lacking(('/proc/net/route', ROUTE4), ('/proc/net/ipv6_route', ROUTE6))
        self.assertEqual([short(route) for route in facts.routes()], [
            '0.0.0.0/0 192.168.1.1 eth0 100', '192.168.1.0/24 None eth0 0', 'fd00::/64 None eth0 256',
            '::/0 fd00::1 eth0 1024'])

    def test_routes_of_macos_and_bsd(self):
        self.assertEqual([short(route) for route in facts.from_netstat(MACOS)], [
            '0.0.0.0/0 192.168.1.1 en0 None', '127.0.0.0/8 127.0.0.1 lo0 None', '127.0.0.1/32 127.0.0.1 lo0 None',
            '169.254.0.0/16 None en0 None', '192.168.1.0/24 None en0 None', '10.8.0.0/13 10.9.0.1 utun4 None',
            '::/0 fe80::1 en0 None', '::1/128 ::1 lo0 None', 'fe80::/64 fe80::1 lo0 None',
            '2001:db8:1::/48 None en0 None'])
        self.assertEqual([short(route) for route in facts.from_netstat(OPENBSD)],
                         ['0.0.0.0/0 10.0.2.2 em0 None', '10.0.2.0/24 10.0.2.15 em0 None'])
        for other in '', 'Kernel IP routing table\nDestination Gateway Genmask\n0.0.0.0 1.2.3.4 0.0.0.0 UG 0 eth0\n':
            self.assertEqual(facts.from_netstat(other), [])

    def test_without_proc_and_programs(self):
        path = os.environ.pop('PATH', None)
        os.environ['PATH'] = '/nonexistent'
        try:
            self.lacking()
            self.assertEqual(facts.routes(), [])
            found = facts.all()
        finally:
            os.environ['PATH'] = path
        self.assertEqual(found['os']['id'], os.uname()[0].lower())
        self.assertIsNone(found['memory']['available'])
        self.assertIsNotNone(found['memory']['total'])

    def test_address_without_a_default_route_is_that_of_a_network(self):
        class Socket(object):
            """A host with one address in a network of its own."""
            def __init__(self, family, kind):
                if family not in known:
                    raise OSError('address family not supported')
                self.address = None

            def connect(self, target):
                for network, address in known.get(socket.AF_INET, {}).items():
                    if target[0].startswith(network):
                        self.address = address
                for network, address in known.get(socket.AF_INET6, {}).items():
                    if target[0].startswith(network):
                        self.address = address
                if not self.address:
                    raise OSError('network is unreachable')

            def getsockname(self):
                return self.address, 1

            def close(self):
                pass

        self.addCleanup(setattr, socket, 'socket', socket.socket)
        socket.socket = Socket
        route = lambda destination, interface: facts.a_route(None, destination, 24, None, interface, 0)
        self.lacking(routes=lambda: [route('127.0.0.0', 'lo'), route('10.5.0.0', 'eth1'), route('fd00::', 'eth1')])
        known = {socket.AF_INET: {'10.5.': '10.5.0.9'}}
        self.assertEqual(facts.ip(), '10.5.0.9')
        known = {socket.AF_INET6: {'2001:': 'fd00::7%eth1'}}
        self.assertEqual(facts.ip(), 'fd00::7')
        known = {socket.AF_INET6: {'fd00:': 'fd00::7'}, socket.AF_INET: {}}
        self.assertEqual(facts.ip(), 'fd00::7')
        known = {socket.AF_INET: {'127.': '127.0.0.1'}}
        self.assertIsNone(facts.ip())
        known = {}
        self.assertIsNone(facts.ip())

    def test_system_is_named_as_its_release_file_has_it(self):
        release = u'# comment\nNAME="Größe"\nID=groesse\nVERSION_ID=\'1 2\'\nBROKEN="x\nPRETTY_NAME="Gr\\"oß"e\n'
        self.lacking(('/etc/os-release', release))
        if sys.platform.startswith('linux'):
            self.assertEqual(facts.os(), {'id': 'groesse', 'version': '1 2', 'name': u'Gr"oße'})

    def test_old_kernels_tell_no_available_memory(self):
        self.lacking(('/proc/meminfo', 'MemTotal: 100 kB\nMemFree: 20 kB\nBuffers: 5 kB\nCached: 7 kB\nHugePages: 0\n'))
        self.assertEqual(facts.memory(), {'total': 102400, 'available': 32768})


class Helpers(unittest.TestCase):
    def test_output_and_lines_are_text(self):
        self.assertEqual(helpers.check_output(['printf', r'a\377\n']), u'a\ufffd\n')
        self.assertEqual(helpers.check_output('echo $((1 + 1)) | cat'), u'2\n')
        self.assertEqual(helpers.output_lines('printf "one\\r\\n\\303\\251\\n\\n\\377x"'),
                         [u'one', u'\xe9', u'', u'\ufffdx'])
        self.assertEqual(helpers.output_lines(['true']), [])
        self.assertEqual(helpers.output_lines('printf "\\n"'), [u''])

    def test_arguments_need_not_be_ascii(self):
        self.assertEqual(helpers.check_output(['printf', '%s', u'é']), u'é')
        self.assertEqual(helpers.check_output(u'printf é'), u'é')

    def test_stdin_is_empty_and_options_are_those_of_popen(self):
        self.assertEqual(helpers.check_output(['cat']), u'')
        self.assertEqual(helpers.check_output(['pwd'], cwd='/'), u'/\n')
        self.assertEqual(helpers.output_lines('echo $X', env={'X': u'é'}), [u'é'])
        self.assertEqual(bytes(helpers.carried_output([u'pwd'], cwd=u'/')), b'/\n')

    def test_failure_has_status_and_output(self):
        with self.assertRaises(subprocess.CalledProcessError) as caught:
            helpers.check_output('echo out; exit 3')
        self.assertEqual((caught.exception.returncode, caught.exception.output), (3, b'out\n'))
        with self.assertRaises(OSError) as caught:
            helpers.check_output(['/nonexistent/program'])
        self.assertIn(": '/nonexistent/program'", str(caught.exception))
        with self.assertRaises(OSError) as caught:
            helpers.check_output(['true'], cwd='/nonexistent/folder')
        self.assertIn(": '/nonexistent/folder'", str(caught.exception))

    def test_children_end_with_their_pipe(self):
        self.assertEqual(helpers.check_output('yes | head -n 1; true'), u'y\n')

    def test_environment_and_folder(self):
        os.environ['CHOPSTICKS_TEST'] = 'inherited'
        self.addCleanup(os.environ.pop, 'CHOPSTICKS_TEST')
        echo = 'pwd; echo $CHOPSTICKS_TEST $OTHER'
        output = helpers.check_output
        self.assertEqual(output(echo, cwd=u'/'), u'/\ninherited\n')
        self.assertEqual(output(echo, cwd=b'/', env={u'OTHER': u'\xe9'}), u'/\ninherited \xe9\n')
        self.assertEqual(output(echo, cwd='/', env={b'OTHER': b'\xff'}), u'/\ninherited \ufffd\n')
        self.assertEqual(output(echo, cwd='/', env={u'CHOPSTICKS_TEST': None}), u'/\n\n')


if __name__ == '__main__':
    unittest.main()
