//! What `--help` has to say behind the options. Lines of at most 78 columns, so that they are not broken again on a usual terminal.

/// Of `chopsticks call`.
pub(crate) const CALL: &str = "\
Output:
  Results go to stdout: a line or a block for each target as it finishes. Values
  are shown as Python would print them; text of several lines is shown as it is.
  Errors and a summary go to stderr, and so do the lines that targets write to
  their stderr, as `[host] line`. Colours are used on a terminal, unless NO_COLOR
  is set.

JSON:
  With --json, stdout has one object for each target, in one line, as it finishes,
  and nothing else:
    {\"host\": …, \"ok\": true, \"value\": …, \"ms\": 31.4}
    {\"host\": …, \"ok\": false, \"error\": {…}, \"ms\": 31.4}
  An error has \"kind\", \"phase\", \"message\", and, each null if there is none,
  \"cause\" (a fixed name), \"hint\" (what to do about it) and \"traceback\".
  What JSON lacks is written so:
    tuple                  an array, as a list
    bytes                  {\"$bytes\": \"aGVsbG8=\"} (base64)
    set                    {\"$set\": […]}
    frozenset              {\"$frozenset\": […]}
    dict with a key that is no text or begins with $
                           {\"$dict\": [[key, value], …]}
    integer over 64 bits   {\"$int\": \"18446744073709551616\"}
    nan, inf, -inf         {\"$float\": \"nan\"}
    container in itself    {\"$ref\": \"/a/0\"}: a JSON pointer, from the value,
                           to the container; \"\" is the value itself
  An object that is in several places is written in each; a target fails if that
  would make more than 64 MiB of copies.

Exit status:
  0    all well
  1    a target failed
  2    wrong usage
  130  Ctrl-C (SIGINT): calls are cancelled, what they started is ended, and targets
       that were not done are told as interrupted; a second one exits at once
  143  SIGTERM: the same
  141  stdout was closed: the same, quietly

Examples:
  chopsticks call os:getpid --on web1,admin@web2
  chopsticks call ./deploy.py:restart web --on @hosts
  chopsticks call deploy:restart web --kw force=true --on a=local,b=local
  chopsticks call report:load -5 --root ops --timeout 2.5 --json --on local";

/// Of `chopsticks run`.
pub(crate) const RUN: &str = "\
What is run:
  COMMAND is a program and its arguments; no shell sees them. For a line for the
  shell, write: -- sh -c 'df -h | tail -1'
  It has no terminal. With one target it reads the stdin of chopsticks, unless that
  is a terminal; with several its stdin is empty, or the same for each with
  --stdin-to-all. It ends with chopsticks, as does what it leaves in the background.

Output:
  Lines come as the program writes them, as `[host] line`: its stdout on stdout, its
  stderr on stderr, and there also how it ended, if not with status 0. Questions and
  progress are shown before their lines end.

JSON:
  With --json, stdout has one object for each target, in one line, when the program
  has ended there:
    {\"host\": …, \"ok\": true, \"value\": {\"status\": 0, \"signal\": null,
     \"stdout\": \"…\", \"stderr\": \"…\"}, \"ms\": 31.4}
  After another status \"ok\" is false, and there is an \"error\" beside the value, of
  the kind exit-status. Output that is no UTF-8 is {\"$bytes\": \"…\"} (base64).

Exit status:
  With one target that of the program, 128 and the number of the signal that ended
  it, or 255 if there is none. With several:
  0    all programs ended with status 0
  1    a program ended with another status, or a target failed
  2    wrong usage
  130  Ctrl-C (SIGINT): the programs are ended; a second one exits at once
  143  SIGTERM: the same
  141  stdout was closed: the same, quietly

Examples:
  chopsticks run --on web1,web2 -- systemctl is-active nginx
  chopsticks run --on @hosts --timeout 60 -- sh -c 'apt-get update && apt-get -y upgrade'";

/// Of `chopsticks put` and `chopsticks fetch`.
pub(crate) const FILES: &str = "\
What is moved:
  Each file appears whole or not at all: if anything fails, what was there is as it
  was. Both sides compute its SHA-1. With -r the permissions of the files are kept,
  links come as links, and FIFOs, sockets and devices are left out.
  Files of several targets are fetched to paths with {host} in them: a name cannot
  leave the folder, what would is written as in URLs.
  As LOCAL, `-` is stdin for put, of which each target gets all, and stdout for
  fetch, of one target.
  A file that is replaced keeps its permissions and its owner. A new one gets the
  permissions of its source, or 644 without one, as far as the umask allows; one with
  a fresh temporary name is for its owner alone. Devices, FIFOs and mount points are written
  in place.

Output:
  A line on stdout for each target as it finishes; on stderr if stdout gets the
  content. On a terminal, stderr shows how far each target is, and all of them.

JSON:
  With --json, stdout has one object for each target, in one line, as it finishes:
    {\"host\": …, \"ok\": true, \"value\": {\"remote\": …, \"local\": …, \"size\": …,
     \"sha1\": …, \"in_place\": false}, \"ms\": 31.4}
  In place of the last two, folders have files, folders, links and left_out. Paths
  that are no UTF-8 are {\"$bytes\": \"…\"} (base64).

Examples:
  chopsticks put app.conf /etc/app.conf --mode 640 --owner root:app --on web1,web2
  chopsticks put -r site /srv/site --on @hosts
  chopsticks fetch /etc/passwd 'passwd-{host}' --on web1,web2
  chopsticks fetch /var/log/syslog - --on web1";

/// Of `chopsticks containers`.
pub(crate) const CONTAINERS: &str = "\
Containers are removed when their tunnel closes. One is left over if this host
crashed, or the engine did, before that.";

/// Of every verb with targets.
pub(crate) const TARGETS: &str = "\
Separated by commas; can be repeated. No two may have the same name, which is that
of the host unless `NAME=` stands in front.

  local                     a subprocess on this host, named localhost
  HOST, USER@HOST           another host, by your own ssh and its configuration
  ssh://USER@HOST:PORT      the same
  sudo:USER                 another user on this host, without a password
  docker://IMAGE            a fresh container; also podman://
  docker-exec://CONTAINER   one that runs; also podman-exec://
  exec:COMMAND…             whatever the command starts a Python on; to the end of
                            this --on, commas and all
  HOST/sudo:USER            each from the far side of the one in front, as in
                            bastion/ssh://db1/docker://postgres
  @FILE, @-                 the targets in a file, one in each line, or on stdin

Settings follow a `?`: docker://postgres?name=db&python=auto";
