//! The known messages of the programs that lead to other users, containers and clusters.

use super::Rule;

const NOT_RUNNING: &str = "container-stopped";

/// Their texts name the program, so that they are looked for before those of others.
pub(super) const PROGRAMS: &[Rule] = &[
    // su and doas
    Rule(
        "su-password",
        "su requires a password of everyone but root: run the controller as root, or use `sudo:` with a rule",
        &["su: Authentication failure", "su: Permission denied", "su: must be run from a terminal"],
    ),
    Rule(
        "doas-password",
        "doas requires a password: allow the interpreter with `nopass`",
        &["doas: Authentication required", "doas: Authorization required"],
    ),
    Rule(
        "doas-not-allowed",
        "no rule of doas.conf allows this",
        &["doas: Operation not permitted", "doas: doas is not enabled"],
    ),
    Rule(
        "user-unknown",
        "the user does not exist there",
        &["doas: unknown user", "chroot: invalid user", "chroot: invalid group", "Failed to resolve user"],
    ),
    // roots and namespaces
    Rule(
        "not-root",
        "only root may do this: run the controller as root, or go through `sudo:root/`",
        &[
            "cannot change root directory to *: Operation not permitted",
            "Need to be root.",
            "nsenter: *: Permission denied",
            "nsenter: *: Operation not permitted",
            "lxclock*Permission denied",
        ],
    ),
    Rule(
        "root-missing",
        "the root folder does not exist, or contains no system",
        &[
            "cannot change root directory to *: No such file or directory",
            "cannot change root directory to *: Not a directory",
            "Failed to resolve path *: No such file or directory",
            "doesn't look like it has an OS tree",
        ],
    ),
    Rule(
        "root-busy",
        "another container uses the root folder: wait for its end, or set `ephemeral`",
        &["Directory tree * is currently busy"],
    ),
    Rule(
        "process-missing",
        "there is no process with this number",
        &["nsenter: stat of /proc/*: No such file", "nsenter: cannot open /proc/*: No such file"],
    ),
    Rule(
        "network-missing",
        "there is no network of this name: `ip netns` lists them",
        &["nsenter: cannot open /run/netns/*: No such file"],
    ),
    // machines and instances
    Rule(
        "image-missing",
        "there is no image of this name: `machinectl list-images` lists them",
        &["No image for machine"],
    ),
    Rule(
        "machine-missing",
        "no machine of this name runs, or systemd does not run there: `machinectl list` lists them",
        &["Failed to connect to bus", "No machine '*' known", "Failed to start transient service unit"],
    ),
    Rule(
        NOT_RUNNING,
        "no container of this name is running: `lxc-ls --fancy` lists them",
        &["Failed to get init pid", "Failed to load config for"],
    ),
    Rule(
        "container-missing",
        "there is no instance of this name in the project: `incus list` lists them",
        &["Error: Instance not found", "Error: Not Found", "Error: Failed to fetch instance"],
    ),
    Rule(NOT_RUNNING, "the instance is not running", &["Instance is not running"]),
    Rule(
        "engine-down",
        "the daemon of Incus or LXD is not running, or this user may not use it",
        &["daemon doesn't appear to be started", "http://unix.socket/1.0", "Is the daemon running"],
    ),
    // Kubernetes
    Rule(
        "cluster-down",
        "the server of the cluster does not answer: see `kubectl cluster-info`",
        &["The connection to the server * was refused", "Unable to connect to the server"],
    ),
    Rule(
        "context-missing",
        "the configuration of kubectl does not have this context: see `kubectl config get-contexts`",
        &["context was not found", "error: context * does not exist"],
    ),
    Rule(
        "kubectl-denied",
        "this user may not run programs in the pod: the role needs `create` for `pods/exec`",
        &["Error from server (Forbidden)", "You must be logged in to the server"],
    ),
    Rule(
        "pod-missing",
        "there is no such pod in the namespace: `kubectl get pods` lists them",
        &["Error from server (NotFound)", "error: unable to find pod"],
    ),
    Rule(
        "container-missing",
        "the pod does not have a container of this name",
        &["container * is not valid for pod", "container not found ("],
    ),
    Rule(
        NOT_RUNNING,
        "the pod is not running: see `kubectl describe pod`",
        &["cannot exec into a container in a completed pod", "does not have a host assigned"],
    ),
    // Compose
    Rule(
        "service-missing",
        "the file of Compose does not have this service",
        &["no such service: ", "No such service: "],
    ),
    Rule(NOT_RUNNING, "no container of the service is running", &["service \"*\" is not running"]),
    Rule(
        "compose-file-missing",
        "there is no file of Compose here: name it with `file`",
        &["no configuration file provided", "Can't find a suitable configuration file"],
    ),
    Rule(
        "program-missing",
        "neither `docker compose` nor `docker-compose` exists there",
        &["docker: 'compose' is not a docker command", "unknown command: docker compose"],
    ),
    // Slurm
    Rule(
        "partition-unknown",
        "the cluster does not have this partition: `sinfo` lists them",
        &["invalid partition specified", "Invalid partition name specified"],
    ),
    Rule(
        "cluster-down",
        "the controller of Slurm does not answer: see `scontrol ping`",
        &["Unable to contact slurm controller", "Zero Bytes were transmitted or received"],
    ),
    Rule(
        "nodes-unavailable",
        "the cluster does not have such nodes, or not so many of them",
        &[
            "Requested node configuration is not available",
            "Node count specification invalid",
            "More processors requested than permitted",
        ],
    ),
    Rule("time-limit", "the time is longer than the partition allows", &["Requested time limit is invalid"]),
    Rule("program-missing", "Slurm is not installed there", &["salloc: not found", "srun: not found"]),
    // interpreters
    Rule(
        super::NO_PYTHON.0,
        super::NO_PYTHON.1,
        &[
            "failed to run command *: No such file or directory",
            "execv(*) failed: No such file or directory",
            "nsenter: failed to execute *: No such file or directory",
            "No such file or directory - Failed to exec",
            "Failed at step EXEC spawning *: No such file or directory",
        ],
    ),
    Rule(
        "python-not-runnable",
        "the file that is named as the interpreter cannot be run there",
        &[
            "failed to run command *: Permission denied",
            "execv(*) failed: Permission denied",
            "Permission denied - Failed to exec",
        ],
    ),
];

/// Why an agent was lost.
pub(super) const LOST: &[Rule] = &[
    Rule("time-limit", "the job has reached its time limit", &["DUE TO TIME LIMIT"]),
    Rule(
        "job-cancelled",
        "the job or its allocation was cancelled",
        &["srun: * CANCELLED AT ", "Job allocation * has been revoked"],
    ),
    Rule(
        "link-broken",
        "the shared connection was cut, or its ssh was ended",
        &["Shared connection to * closed", "mux_client_read_packet"],
    ),
];
