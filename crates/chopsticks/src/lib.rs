//! Runs your own Python code elsewhere: in subprocesses, on hosts, in containers, all of them in parallel.
