//! The first stage of an agent in Rust: texts for the host's `sh`, which put the program into a file
//! and start it.
//!
//! The words are `sh -c PLACE TOKEN LOAD PYTHON PERL`. `PLACE` finds a place for the program, and
//! then runs `LOAD`, which reads the program. If no folder will do, it starts Python or Perl, which
//! make a file in memory and start `sh` again with `LOAD`. The words have no single quotes, no
//! backslashes, no `!` and no newlines, so that every login shell passes them on in single quotes.

use std::{
    ffi::OsString,
    hash::{BuildHasher as _, RandomState},
};

/// Returns the command of the first stage.
pub(crate) fn argv(token: &str) -> Vec<OsString> {
    ["sh", "-c", PLACE, token, LOAD, PYTHON, PERL].map(OsString::from).to_vec()
}

/// Returns the command of a first stage that says what its host is before it reads the program.
pub(crate) fn asking_argv(token: &str) -> Vec<OsString> {
    let load = [ASK, LOAD].concat();
    ["sh", "-c", PLACE, token, &load, PYTHON, PERL].map(OsString::from).to_vec()
}

/// Returns a text that distinguishes an agent from all others on its host. It need not be secret.
pub(crate) fn token() -> String {
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}

/// Makes a file and opens it, as descriptor 3 to write and 4 to read.
///
/// The file is removed from its folder before anything is written to it, so that nothing stays
/// behind, whatever ends this. Without `/proc` its name is needed, and the agent removes it. Folders
/// in memory come first. `set -C` refuses to follow a link of another user.
///
/// The file is tried as a script, because folders may forbid programs (`noexec`). mksh and ksh do not
/// pass descriptor 4 on to what they start, hence `5<&4`.
const PLACE: &str = concat!(
    r#"set -C;u=$(umask);umask 077;"#,
    r#"for d in "$XDG_RUNTIME_DIR" /dev/shm "$TMPDIR" /tmp /var/tmp "$HOME" .;do f=$d/.chopsticks-$0;p=;"#,
    r#"if [ -d "$d" ]&&echo : 2>/dev/null >"$f";then exec 4<"$f";p=/proc/self/fd;"#,
    r#"if [ -e $p/4 ];then rm -f "$f";f=;q=$p/5;p=$p/4;else p=$f;q=$f;fi;"#,
    r#"if chmod 700 "$q" 5<&4&&"$q" 2>/dev/null 5<&4;then break;fi;"#,
    r#"if [ "$f" ];then rm -f "$f";fi;fi;p=;done;umask $u;"#,
    r#"if [ -z "$p" ];then "#,
    r#"if command -v python3 >/dev/null;then exec python3 -S -c "$2" "$1" "$0";fi;"#,
    r#"if command -v perl >/dev/null;then exec perl -e "$3" "$1" "$0";fi;"#,
    r#"echo "chopsticks: no folder that programs can be started from: tried XDG_RUNTIME_DIR, /dev/shm, TMPDIR, "#,
    r#"/tmp, /var/tmp, HOME and the working folder; nor Python or perl to do without" >&2;exit 126;fi;"#,
    r#"exec 3>|"$p";eval "$1""#,
);

/// Says what the host is: its machine, and its C libraries.
const ASK: &str = concat!(
    r#"read -r m 2>/dev/null </proc/sys/kernel/arch||m=$(uname -m);l=$(getconf GNU_LIBC_VERSION 2>/dev/null);"#,
    r#"for u in /lib/ld-musl-*;do if [ -e "$u" ];then l="$l musl";fi;done;echo "chopsticks:$0 $m $l";"#,
);

/// Reads the header line and the program, and starts it.
///
/// `read` takes single bytes from a pipe. `head` may take more than it returns, hence the padding
/// behind the program. The token is appended to the last argument of the program, so that the bytes
/// are the same for all hosts.
const LOAD: &str = concat!(
    // Without `/proc` the file has its name still, which has to go if the program does not run.
    r#"q(){ if [ "$f" ];then rm -f "$f";fi;};trap q 0;"#,
    r#"read -r m 2>/dev/null </proc/sys/kernel/arch||m=$(uname -m);"#,
    r#"read -r a n z x||exit 1;"#,
    r#"case $m in $a);;*)echo "chopsticks: the host is $m, the program for $a" >&2;exit 125;;esac;"#,
    r#"if [ "$z" = gzip ];then head -c "$n"|gzip -dc >&3;else head -c "$n" >&3;fi||"#,
    r#"{ echo "chopsticks: the program cannot be stored" >&2;exit 125;};"#,
    // A program that is open for writing cannot be started.
    r#"exec 3>&-;"#,
    r#"export CHOPSTICKS_AGENT="$CHOPSTICKS_AGENT:$0";export CHOPSTICKS_FILE="$f";"#,
    r#"exec "${p:-/proc/self/fd/4}" $x$0"#,
);

/// Makes a file in memory for both descriptors. Older Pythons do not know the system call, so its
/// number is needed there.
const PYTHON: &str = concat!(
    r#"import os,sys;f=os.memfd_create("chopsticks",0)if hasattr(os,"memfd_create")else "#,
    r#"__import__("ctypes").CDLL(None).syscall("#,
    r#"dict(x86_64=319,i686=356,armv7l=385,ppc64le=360,s390x=350).get(os.uname()[4],279),b"chopsticks",0);"#,
    r#"os.dup2(f,3);os.dup2(os.open("/proc/self/fd/3",0),4);os.execvp("sh",["sh","-c"]+sys.argv[1:])"#,
);

/// The same in Perl.
const PERL: &str = concat!(
    r#"use POSIX;$s="chopsticks";%n=(x86_64,319,i686,356,armv7l,385,ppc64le,360,s390x,350);"#,
    r#"$f=syscall($n{(uname)[4]}||279,$s,0);dup2($f,3);dup2(POSIX::open("/proc/self/fd/3",0),4);"#,
    r#"exec "sh","-c",@ARGV"#,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_single_quotes_in_any_shell() {
        for word in argv(&token()).into_iter().chain(asking_argv(&token())) {
            assert!(!word.to_str().unwrap().contains(['\'', '\\', '!', '\n']), "{word:?}");
        }
    }

    #[test]
    fn tokens_differ() {
        assert_ne!(token(), token());
        assert_eq!(token().len(), 16);
    }
}
