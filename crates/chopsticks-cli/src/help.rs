//! The texts that `--help` shows after the options, and how errors of usage are shown. Lines have at
//! most 78 columns, so that a usual terminal does not break them.

use chopsticks::text::harmless;

/// For `chopsticks call`.
pub(crate) const CALL: &str = "\
Output:
  Results go to stdout, in a line or block for each target as it finishes. Values
  are shown as Python would print them. Text of several lines is shown as it is.
  Errors and a summary go to stderr. The lines that targets write to their stderr
  go there too, as `[host] line`, and what functions print, as `[host stdout] line`.
  Colours are used on a terminal, unless NO_COLOR is set.

JSON:
  With --json, stdout has one object for each target, in one line, as it finishes,
  and nothing else:
    {\"host\": …, \"ok\": true, \"value\": …, \"ms\": 31.4}
    {\"host\": …, \"ok\": false, \"error\": {…}, \"ms\": 31.4}
  An error has \"kind\", \"phase\" and \"message\". It also has \"cause\" (a fixed
  name), \"hint\" (what to do about it) and \"traceback\", which can be null.
  Values without a JSON form are written as follows:
    tuple                  an array, like a list
    bytes                  {\"$bytes\": \"aGVsbG8=\"} (base64)
    set                    {\"$set\": […]}
    frozenset              {\"$frozenset\": […]}
    dict with a key that is not text or begins with $
                           {\"$dict\": [[key, value], …]}
    integer over 64 bits   {\"$int\": \"18446744073709551616\"}
    nan, inf, -inf         {\"$float\": \"nan\"}
    container in itself    {\"$ref\": \"/a/0\"}: a JSON pointer from the value to
                           the container; \"\" is the value itself
  An object that occurs in several places is written in each of them. A target
  fails if this makes more than 64 MiB of copies.

Exit status:
  0    all targets have a result
  1    a target failed
  2    usage error
  130  Ctrl-C (SIGINT): calls are cancelled, the processes that they started are
       ended, and targets that were not done are reported as interrupted; a second
       Ctrl-C exits at once
  143  SIGTERM: the same
  141  stdout was closed: the same, quietly

Examples:
  chopsticks call os:getpid --on web1,admin@web2
  chopsticks call ./deploy.py:restart web --on @hosts
  chopsticks call deploy:restart web --kw force=true --on a=local,b=local
  chopsticks call report:load -5 --root ops --timeout 2.5 --json --on local";

/// For `chopsticks map`.
pub(crate) const MAP: &str = "\
Input:
  Each line is an item. A line that is valid JSON is read as JSON, and any other
  line is text; empty lines are left out. With --lines each line is text. The
  input is read as fast as there are targets for its items.

Output:
  stdout has one JSON object for each item, in one line, as it finishes, or in the
  order of the items with --ordered, and nothing else:
    {\"index\": 0, \"ok\": true, \"value\": …}
    {\"index\": 1, \"ok\": false, \"error\": {…}}
  The index is the number of the line, from 0. With --host there is \"host\", the
  target that had the item last, which is null if none had it. \"attempts\" is how
  many targets have tried it, and is left out if that is 1. Values and errors are
  those of `call --json`.
  stderr has the first failures, the targets that were lost, and a summary. On a
  terminal it shows how many items are done, and how fast.

Losses:
  Items of a target that is lost go to other targets. Without any target, the
  remaining items fail. A lost target is connected again; it is left out if that
  fails, or if it is lost three times without having performed an item.

Exit status:
  0    all items have a result
  1    an item failed, or was not tried
  2    usage error
  130  Ctrl-C (SIGINT): items that are under way are cancelled, and the processes
       that they started are ended; a second Ctrl-C exits at once
  143  SIGTERM: the same
  141  stdout was closed: the same, quietly

Examples:
  chopsticks map primes:count --on web1,web2,web3 --input limits.txt
  chopsticks map ./thumbs.py:make 320 --lines --jobs 4 --on @hosts
  chopsticks map etl:load --ordered --resume done.jsonl --on a=local,b=local";

/// For `chopsticks run`.
pub(crate) const RUN: &str = "\
Program:
  COMMAND is a program and its arguments, which are not passed through a shell. To
  run a shell line, write: -- sh -c 'df -h | tail -1'
  The program has no terminal. With one target it reads the stdin of chopsticks,
  unless that is a terminal. With several targets its stdin is empty, or all of
  stdin with --stdin-to-all. It ends with chopsticks, together with the processes
  that it leaves in the background.

Output:
  Output is shown as the program writes it, in lines of the form `[host] line`: its
  stdout on stdout, and its stderr on stderr. A status other than 0 is reported on
  stderr. Questions and progress are shown before their lines end.

JSON:
  With --json, stdout has one object for each target, in one line, when the program
  has ended there:
    {\"host\": …, \"ok\": true, \"value\": {\"status\": 0, \"signal\": null,
     \"stdout\": \"…\", \"stderr\": \"…\"}, \"ms\": 31.4}
  After a status other than 0, \"ok\" is false, and the object also has an \"error\"
  of the kind exit-status. Output that is not UTF-8 is {\"$bytes\": \"…\"} (base64).

Exit status:
  With one target, the status is that of the program, 128 plus the number of the
  signal that ended it, or 255 if there is no status. With several targets:
  0    all programs ended with status 0
  1    a program ended with another status, or a target failed
  2    usage error
  130  Ctrl-C (SIGINT): the programs are ended; a second Ctrl-C exits at once
  143  SIGTERM: the same
  141  stdout was closed: the same, quietly

Examples:
  chopsticks run --on web1,web2 -- systemctl is-active nginx
  chopsticks run --on @hosts --fold -- uname -r
  chopsticks run --on @hosts --timeout 60 -- sh -c 'apt-get update && apt-get -y upgrade'";

/// For `chopsticks shell`.
pub(crate) const SHELL: &str = "\
Prompt:
  Each block is evaluated on all targets. Names stay as long as the connection.
  Equal answers of several targets are shown once. An exception is shown without
  its traceback, which `import traceback; traceback.print_last()` prints.
  Tab completes names of the first target. Modules of the codebase can be imported.
  Ctrl-C cancels the block on all targets, or the line that is being edited. Ctrl-D
  and exit() leave. A target that is lost is named and left out.
  Without a terminal, stdin is a script. Its statements run one after the other,
  until one has failed on a target.

Exit status:
  0    the prompt was left, or all statements of the script have succeeded
  1    no target is left, or a statement of the script has failed
  2    usage error
  130, 143, 141  as for `call`

Examples:
  chopsticks shell --on web1
  chopsticks shell --on 'web[1-20]' --root ops
  chopsticks shell --on @hosts < check.py";

/// For `chopsticks put` and `chopsticks fetch`.
pub(crate) const FILES: &str = "\
Files:
  Each file appears completely or not at all: if anything fails, an existing file
  stays as it was. Both sides compute the SHA-1. With -r the permissions of files
  are kept, links are sent as links, and FIFOs, sockets and devices are left out.
  Files of several targets are fetched to paths that contain {host}. A name cannot
  lead out of the folder: characters that would do so are escaped as in URLs.
  If LOCAL is `-`, put reads stdin and sends all of it to each target, and fetch
  writes to stdout, for a single target.
  A file that is replaced keeps its permissions and its owner. A new file gets the
  permissions of its source, or 644 without a source, as far as the umask allows.
  Only its owner can read a file with a new temporary name. Devices, FIFOs and mount
  points are written in place.
  With -r, the content of LOCAL goes to REMOTE itself: `put -r site /srv/site`. If
  REMOTE is `.`, `~`, a folder of the system such as /tmp, or ends with `/`, the
  folder keeps its name there, unless LOCAL ends with `/`. The same applies to fetch.
  With -r, --delete makes the target equal to the source. Whatever --exclude matches
  stays as it is on both sides. Nothing outside the target is deleted.

Output:
  stdout has a line for each target as it finishes; if stdout gets the content, this
  line goes to stderr. On a terminal, stderr shows the progress of each target and
  the total.

JSON:
  With --json, stdout has one object for each target, in one line, as it finishes:
    {\"host\": …, \"ok\": true, \"value\": {\"remote\": …, \"local\": …, \"size\": …,
     \"sha1\": …, \"in_place\": false, \"changed\": true, \"sent\": …}, \"ms\": 31.4}
  For folders, files, folders, links, left_out, unchanged, changes, deleted and
  obstacles take the place of sha1 and in_place. With --diff there is a diff.
  Paths that are not UTF-8 are {\"$bytes\": \"…\"} (base64).

Examples:
  chopsticks put app.conf /etc/app.conf --mode 640 --owner root:app --on web1,web2
  chopsticks put -r site /srv/site --on @hosts
  chopsticks put -r site /srv/site --if-changed --dry-run --on @hosts
  chopsticks put -r site /srv/site --if-changed --delete --exclude '*.log' --on @hosts
  chopsticks put disk.img /srv/disk.img --delta --resume --on web1
  chopsticks fetch /etc/passwd 'passwd-{host}' --on web1,web2
  chopsticks fetch /var/log/syslog - --on web1";

/// For `chopsticks containers`.
pub(crate) const CONTAINERS: &str = "\
Containers are removed when their tunnel closes. A container is left over if this
host or the engine crashed before that.";

/// For `chopsticks hosts`.
pub(crate) const HOSTS: &str = "\
Output:
  stdout has a table of the targets: their names, how they are reached, and their
  groups. Values of environment variables are not shown.

JSON:
  With --json, stdout has one object for each target, in one line:
    {\"host\": …, \"target\": …, \"groups\": […], \"variables\": {…},
     \"origin\": \"FILE:LINE\"}
  `target` can be given to --on. `origin` is null without an inventory.

Examples:
  chopsticks hosts --on '@web!web3' --inventory hosts.ini
  chopsticks hosts --on 'ssh-config:web*' --json";

/// For every verb with targets.
pub(crate) const TARGETS: &str = "\
The targets, separated by commas; can be repeated. Each target needs a unique name.
This is the name of the host, unless you write `NAME=` in front.

  local                     a subprocess on this host, named localhost
  HOST, USER@HOST           another host, by your own ssh and its configuration
  ssh://USER@HOST:PORT      the same
  sudo:USER                 another user on this host, without a password
  docker://IMAGE            a new container; also podman://
  docker-exec://CONTAINER   a running container; also podman-exec://
  su:USER, doas:USER        another user on this host, without a password
  compose://SERVICE         a service of Docker Compose
  kubectl://NAMESPACE/POD   a pod of Kubernetes; also kubectl://POD
  lxc://CONTAINER           a container of LXC; also incus:// and lxd://
  nspawn://FOLDER           a new container of systemd; also nspawn://IMAGE
  machine://MACHINE         a running container of systemd
  chroot:FOLDER             another root folder of this host
  nsenter:PID               the namespaces of a process; netns:NETWORK is a network
  slurm:PARTITION           a job of Slurm, or a node of an allocation (?nodes=4)
  exec:COMMAND…             any command that starts a Python; it takes the rest of
                            this --on, including commas
  HOST/sudo:USER            each target from the far side of the one in front, as in
                            bastion/ssh://db1/docker://postgres
  web[01-20,35], db[a-c].x  many hosts; [1-9/2] has a step
  n[1-9]=local              nine names for one target, or for nine
  @FILE, @-                 the targets in a file, one in each line, or on stdin
  @GROUP, web*              the hosts of a group, or with such a name, in the file
                            of --inventory
  ssh-config:web*           the hosts of your ssh_config with such a name

Operators between targets apply from left to right: `,` adds, `!` removes, as in
web[1-9]!web3, and `&` keeps what is in both.

Settings follow a `?`: docker://postgres?name=db&python=auto";

/// Returns the message of an error so that it can be shown: it may quote a file of any length, and
/// of whatever origin. Of more than 4,096 characters the beginning and the end are left.
pub(crate) fn shortened(message: &str) -> String {
    const LONGEST: usize = 4096;
    const MARK: &str = " … ";
    let message = harmless(message);
    if message.chars().nth(LONGEST).is_none() {
        return message.into_owned();
    }
    let half = LONGEST / 2;
    let end: Vec<char> = message.chars().rev().take(half - MARK.chars().count()).collect();
    message.chars().take(half).chain(MARK.chars()).chain(end.into_iter().rev()).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use crate::args::Args;

    #[test]
    fn commands_beside_those_of_other_tools_are_well_formed() {
        let document = include_str!("../../../docs/coming-from.md");
        let commands = document.split('`').filter(|text| text.starts_with("chopsticks "));
        let mut count = 0;
        for command in commands {
            let words = shlex::split(command).expect("quotes are closed");
            let parsed = Args::try_parse_from(words);
            assert!(parsed.is_ok(), "{command}: {parsed:?}");
            count += 1;
        }
        assert!(count >= 30, "{count}");
    }
}
