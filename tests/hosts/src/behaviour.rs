//! The suite that every place has to pass: what a tunnel does, whatever driver is behind it.

mod files;
mod items;

use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chopsticks::{AgentInfo, Args, Call, Error, ErrorKind, Interpreter, Phase, Stderr, Tunnel};
use chopsticks_support::processes;
use futures::future::join_all;
use rustix::process::{Pid, Signal, kill_process};
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;

pub use self::files::{
    failed_transfer_leaves_what_was_there, files_go_there_and_back,
    folders_go_there_and_back_whatever_the_names, killed_agent_leaves_what_was_there,
};
pub use self::items::items_stream_both_ways;
use crate::lab;
use crate::place::{Place, Setup};
use crate::watch::{PATIENCE, appeared, canary, childless, eventually, gone};

/// Makes a module of tests for each place.
#[macro_export]
macro_rules! behaviours {
    ($($place:ident)*) => { $(
        mod $place {
            $crate::behaviours! { @ $place
                functions_run_with_what_they_import
                every_byte_arrives_as_it_was_sent
                large_data_travels_both_ways
                files_go_there_and_back
                folders_go_there_and_back_whatever_the_names
                failed_transfer_leaves_what_was_there
                killed_agent_leaves_what_was_there
                exception_carries_its_traceback
                function_that_is_missing_is_named
                stderr_comes_in_lines_with_the_name_of_the_host
                output_to_stdout_harms_nothing
                calls_overlap
                items_stream_both_ways
                dropped_call_ends_with_what_it_started
                deadline_ends_a_call_with_what_it_started
                close_ends_all_that_calls_started
                dropped_tunnel_takes_everything_along
                killed_controller_leaves_nothing
                killed_client_fails_the_call_and_leaves_nothing
                killed_agent_fails_the_call_and_the_next_one_connects
                stubborn_function_ends_with_its_connection
                folder_and_environment_are_as_set
                site_packages_are_there_only_if_asked_for
                connections_leave_no_descriptor_and_no_process
                python_2_serves_as_well
                auto_finds_an_interpreter
            }
        }
    )* };
    // For drivers that differ from another one only in the program that they start.
    (brief: $($place:ident)*) => { $(
        mod $place {
            $crate::behaviours! { @ $place
                functions_run_with_what_they_import
                every_byte_arrives_as_it_was_sent
                stderr_comes_in_lines_with_the_name_of_the_host
                dropped_call_ends_with_what_it_started
                close_ends_all_that_calls_started
                killed_controller_leaves_nothing
                killed_client_fails_the_call_and_leaves_nothing
                killed_agent_fails_the_call_and_the_next_one_connects
                folder_and_environment_are_as_set
                connections_leave_no_descriptor_and_no_process
                python_2_serves_as_well
                auto_finds_an_interpreter
            }
        }
    )* };
    (@ $place:ident $($sentence:ident)*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $sentence() {
            $crate::behaviour::$sentence($crate::Place::named(stringify!($place))).await;
        }
    )* };
}

/// Lines of stderr, and the host of each.
type Lines = Vec<(String, Vec<u8>)>;

/// A tunnel of a place, and what the test calls it.
struct Subject {
    place: Place,
    setup: Setup,
    tunnel: Tunnel,
}

impl Subject {
    fn new(place: Place, change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup::new(&canary(place.name()));
        change(&mut setup);
        let tunnel = place.tunnel(&setup);
        Self { place, setup, tunnel }
    }

    /// A fresh text to mark processes with.
    fn canary(&self) -> String {
        canary(self.place.name())
    }

    /// Makes a call that succeeds.
    async fn call<R: DeserializeOwned>(&self, function: &str, args: impl Args) -> R {
        self.call_with(Call::new(function).args(args)).await
    }

    /// Makes a call that succeeds.
    async fn call_with<R: DeserializeOwned>(&self, call: Call) -> R {
        let reply = self.tunnel.call_with(call).await.unwrap_or_else(|error| panic!("{}", error.report()));
        reply.decode().unwrap_or_else(|error| panic!("{}", error.report()))
    }

    /// Makes a call that fails.
    async fn fail(&self, function: &str, args: impl Args) -> Error {
        self.fail_with(Call::new(function).args(args)).await
    }

    /// Makes a call that fails.
    async fn fail_with(&self, call: Call) -> Error {
        self.tunnel.call_with(call).await.expect_err("the call fails")
    }

    /// Looks whether the tunnel can be used.
    async fn works(&self) {
        assert_eq!(self.call::<i64>("far:add", (1, 2)).await, 3);
    }

    async fn connect(&self) -> AgentInfo {
        self.tunnel.connect().await.unwrap_or_else(|error| panic!("{}", error.report()))
    }

    /// Runs a function until the canary's processes are there, then does `event` to it, and returns how the call ended.
    async fn disturb(&self, function: &str, canary: &str, event: impl FnOnce()) -> Error {
        let (tunnel, function, name) = (self.tunnel.clone(), function.to_owned(), canary.to_owned());
        let call = tokio::spawn(async move { tunnel.call::<()>(function, (name,)).await });
        appeared(canary, 1).await;
        event();
        let result = tokio::time::timeout(PATIENCE, call).await.expect("the call ends");
        result.expect("the call does not panic").expect_err("the call was disturbed")
    }

    /// Closes the tunnel and looks for what it left.
    async fn close(self) -> Place {
        self.tunnel.close().await.unwrap_or_else(|error| panic!("{}", error.report()));
        self.leave().await
    }

    /// Drops the tunnel and looks for what it left.
    async fn leave(self) -> Place {
        drop(self.tunnel);
        childless().await;
        self.place
    }
}

/// A package, what it imports from the inside and within functions, and what it keeps between calls.
pub async fn functions_run_with_what_they_import(place: Place) {
    let subject = Subject::new(place, |_| ());
    for (taken, left, calls) in [(3, 7, 1), (4, 6, 2)] {
        let answer: (i64, i64, String, u32, String) = subject.call("shop.orders:left", (taken,)).await;
        assert_eq!(answer, (left, 10, "late".to_owned(), calls, "orders.py".to_owned()));
    }
    let sum = Call::new("far:add").args((1,)).kwarg("other", 41);
    assert_eq!(subject.call_with::<i64>(sum).await, 42);
    subject.close().await;
}

/// What terminals, shells and ssh would take for something else.
pub async fn every_byte_arrives_as_it_was_sent(place: Place) {
    let subject = Subject::new(place, |_| ());
    let all: Vec<u8> = (0..=255).collect();
    let mut tricky = b"\n~.\n~?\r\n\r~C\x03\x04\x11\x13\x1a\x1c\x10\x11\xff\xfb\n".to_vec();
    tricky.extend(all.iter().rev());
    for bytes in [all, tricky, Vec::new()] {
        let answer: ByteBuf = subject.call("far:echo", (ByteBuf::from(bytes.clone()),)).await;
        assert_eq!(answer.into_vec(), bytes);
    }
    let text = "naïve ☃ 𝄞 \u{0} \r\n end";
    assert_eq!(subject.call::<String>("far:echo", (text,)).await, text);
    subject.close().await;
}

/// Several messages at once, larger than any pipe or window.
pub async fn large_data_travels_both_ways(place: Place) {
    let subject = Subject::new(place, |_| ());
    let mut state = 7_u32;
    let bytes: Vec<u8> = (0..6 << 20)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
    let call =
        || subject.tunnel.call::<(usize, u32, ByteBuf)>("far:checksum", (ByteBuf::from(bytes.clone()),));
    let answers = join_all([call(), call(), call()]).await;
    let sums: Vec<u32> = answers
        .into_iter()
        .map(|answer| {
            let (size, sum, back) = answer.unwrap_or_else(|error| panic!("{}", error.report()));
            assert_eq!(size, bytes.len());
            assert!(back.as_ref() == reversed, "other bytes came back");
            sum
        })
        .collect();
    assert!(sums.iter().all(|sum| *sum == sums[0]));
    subject.close().await;
}

/// The type, the text, and files and lines of the codebase.
pub async fn exception_carries_its_traceback(place: Place) {
    let subject = Subject::new(place, |_| ());
    let error = subject.fail("shop.orders:refuse", (11,)).await;
    let raised = error.remote().unwrap_or_else(|| panic!("{}", error.report()));
    assert_eq!(raised.type_name, "shop.orders.Refused");
    assert_eq!(raised.message, "only 10 left, not 11 é");
    assert!(raised.traceback.contains("orders.py\", line 24, in refuse"), "{}", raised.traceback);
    assert_eq!(error.host().as_str(), subject.setup.name);
    let report = format!(
        "{}: call of shop.orders:refuse: shop.orders.Refused: only 10 left, not 11 é",
        subject.setup.name
    );
    assert_eq!(error.report(), report);
    assert_eq!(subject.call::<i64>("shop.orders:refuse", (9,)).await, 9);
    subject.close().await;
}

/// A function, and a module.
pub async fn function_that_is_missing_is_named(place: Place) {
    let subject = Subject::new(place, |_| ());
    for (function, missing) in [("far:nothing", "nothing"), ("nowhere:f", "nowhere")] {
        let error = subject.fail(function, ()).await;
        assert!(matches!(error.kind(), ErrorKind::NoFunction { .. }), "{}", error.report());
        assert!(error.report().contains(missing), "{}", error.report());
    }
    subject.close().await;
}

/// Of the function and of a child, in any bytes, and what has no newline.
pub async fn stderr_comes_in_lines_with_the_name_of_the_host(place: Place) {
    let heard: Arc<Mutex<Lines>> = Arc::default();
    let ear = Arc::clone(&heard);
    let sink = move |host: &str, line: &[u8]| {
        ear.lock().expect("nothing panics here").push((host.to_owned(), line.to_vec()));
    };
    let subject =
        Subject::new(place, |setup| setup.config = setup.config.clone().stderr(Stderr::callback(sink)));
    let (mark, name) = (subject.canary(), subject.setup.name.clone());
    let lines: u32 = subject.call("far:write_stderr", (500, &mark)).await;
    subject.close().await;
    let heard = heard.lock().expect("nothing panics here");
    let mut expected: Vec<Vec<u8>> =
        (0..lines).map(|number| format!("{mark} line {number}").into_bytes()).collect();
    expected.push(format!("{mark} of a child").into_bytes());
    expected.push([mark.as_bytes(), b" \xff\xfe not text"].concat());
    expected.push(format!("{mark} without an end").into_bytes());
    let ours: Vec<_> = heard.iter().filter(|(_, line)| line.starts_with(mark.as_bytes())).collect();
    assert!(ours.iter().all(|(host, _)| *host == name));
    let lines: Vec<_> = ours.iter().map(|(_, line)| line.clone()).collect();
    assert_eq!(lines, expected);
}

/// It goes nowhere, and stdin is at its end.
pub async fn output_to_stdout_harms_nothing(place: Place) {
    let subject = Subject::new(place, |_| ());
    let read: u32 = subject.call("far:write_stdout", ("noise",)).await;
    assert_eq!(read, 0);
    subject.works().await;
    subject.close().await;
}

/// One that waits holds up none of those that follow.
pub async fn calls_overlap(place: Place) {
    let subject = Subject::new(place, |_| ());
    let waiting = subject.tunnel.call::<()>("far:nap", (1000,));
    tokio::select! {
        result = waiting => panic!("it waits: {result:?}"),
        answers = join_all((0..20).map(|n| subject.tunnel.call::<i64>("far:add", (n, 1)))) => {
            let answers: Vec<_> = answers.into_iter().map(|answer| answer.expect("the call succeeds")).collect();
            assert_eq!(answers, (1..=20).collect::<Vec<_>>());
        }
    }
    subject.close().await;
}

/// Children in sessions of their own and orphans too; the agent stays.
pub async fn dropped_call_ends_with_what_it_started(place: Place) {
    let subject = Subject::new(place, |_| ());
    let pid: u32 = subject.call("far:pid", ()).await;
    let canary = subject.canary();
    {
        let call = subject.tunnel.call::<()>("far:hang", (&canary,));
        tokio::select! {
            result = call => panic!("it never returns: {result:?}"),
            () = appeared(&canary, 4) => {}
        }
    }
    gone(&canary).await;
    assert_eq!(subject.call::<u32>("far:pid", ()).await, pid, "the agent is another one");
    subject.close().await;
}

/// A function that computes is interrupted just as one that waits.
pub async fn deadline_ends_a_call_with_what_it_started(place: Place) {
    let subject = Subject::new(place, |_| ());
    let pid: u32 = subject.call("far:pid", ()).await;
    for function in ["far:hang", "far:spin"] {
        let canary = subject.canary();
        let call = Call::new(function).args((&canary,)).timeout(Duration::from_secs(1));
        let error = subject.fail_with(call).await;
        assert_eq!(error.report(), format!("{}: call of {function}: timed out after 1s", subject.setup.name));
        gone(&canary).await;
    }
    assert_eq!(subject.call::<u32>("far:pid", ()).await, pid, "the agent is another one");
    subject.close().await;
}

/// All of it is gone when `close` returns, but for what the engine of a container has to do still.
pub async fn close_ends_all_that_calls_started(place: Place) {
    let subject = Subject::new(place, |_| ());
    let canary = subject.canary();
    subject.call::<()>("far:children", (&canary,)).await;
    subject.call::<()>("far:orphan", (&canary,)).await;
    appeared(&canary, 4).await;
    subject.close().await;
    gone(&canary).await;
}

/// In the background, but all the same.
pub async fn dropped_tunnel_takes_everything_along(place: Place) {
    let subject = Subject::new(place, |_| ());
    let canary = subject.canary();
    subject.call::<()>("far:children", (&canary,)).await;
    appeared(&canary, 3).await;
    subject.leave().await;
    gone(&canary).await;
}

/// In whatever the function is at that moment.
pub async fn killed_controller_leaves_nothing(place: Place) {
    for function in ["far:hang", "far:spin", "far:stubborn"] {
        let canary = canary(place.name());
        let mut controller = Command::new(lab::controller())
            .args([&place.address(), function, &canary])
            .stdout(Stdio::null())
            .spawn()
            .expect("the controller starts");
        // The controller itself has the canary among its arguments.
        appeared(&canary, 4).await;
        controller.kill().expect("it is ours");
        controller.wait().expect("it was killed");
        gone(&canary).await;
    }
}

/// The error names the host and tells how the client ended; the next call connects again.
pub async fn killed_client_fails_the_call_and_leaves_nothing(place: Place) {
    let subject = Subject::new(place, |_| ());
    let first = subject.connect().await;
    let clients = subject.place.clients(processes::children());
    assert_eq!(clients.len(), 1, "one client, or the agent itself");
    let kill = || {
        let pid = Pid::from_raw(clients[0].cast_signed()).expect("it is a process");
        kill_process(pid, Signal::KILL).expect("it is ours");
    };
    let canary = subject.canary();
    // An agent that is killed as well ends nothing that it started.
    let function = if subject.place.loses_agent_with_client() { "far:child" } else { "far:hang" };
    let error = subject.disturb(function, &canary, kill).await;
    assert!(error.is_disconnected(), "{}", error.report());
    let lost = "the connection was lost, signal 9 (SIGKILL)";
    if subject.place.is_reached_through_another() {
        let report = format!("{}: call of {function}: the parent tunnel failed: ", subject.setup.name);
        assert!(error.report().starts_with(&report) && error.report().contains(lost), "{}", error.report());
    } else {
        let report = format!("{}: call of {function}: {lost}", subject.setup.name);
        assert!(error.report().starts_with(&report), "{}", error.report());
    }
    if !subject.place.loses_agent_with_client() {
        gone(&canary).await;
    }
    let second = subject.connect().await;
    assert_eq!(second.python, first.python);
    subject.works().await;
    subject.close().await;
}

/// Even if the client is not killed with it.
pub async fn killed_agent_fails_the_call_and_the_next_one_connects(place: Place) {
    let subject = Subject::new(place, |_| ());
    subject.connect().await;
    let error = subject.fail("far:die", (9,)).await;
    assert!(error.is_disconnected(), "{}", error.report());
    assert_eq!((error.host().as_str(), error.phase()), (subject.setup.name.as_str(), Phase::Call));
    let error = subject.fail("os:_exit", (7,)).await;
    let report = format!("{}: call of os:_exit: the connection was lost, exit status 7", subject.setup.name);
    assert!(error.report().starts_with(&report), "{}", error.report());
    subject.works().await;
    subject.close().await;
}

/// What takes no notice of being cancelled is abandoned, without what it started, and ends with the connection.
pub async fn stubborn_function_ends_with_its_connection(place: Place) {
    let subject = Subject::new(place, |setup| {
        setup.config =
            setup.config.clone().cancel_grace(Duration::from_secs(1)).close_timeout(Duration::from_secs(2));
    });
    let canary = subject.canary();
    subject.connect().await;
    {
        let call = subject.tunnel.call::<()>("far:stubborn", (&canary,));
        tokio::select! {
            result = call => panic!("it never returns: {result:?}"),
            () = appeared(&canary, 1) => {}
        }
    }
    gone(&canary).await;
    subject.works().await;
    subject.close().await;
    childless().await;
}

/// On the far side, whatever the client's own are.
pub async fn folder_and_environment_are_as_set(place: Place) {
    let subject = Subject::new(place, |setup| {
        setup.current_dir = Some("/usr".to_owned());
        setup.env = Some(("CHOPSTICKS_TEST".to_owned(), "it's \"ü\" $HOME `id`\n!".to_owned()));
    });
    let (folder, value): (String, String) =
        subject.call("far:folder_and_variable", ("CHOPSTICKS_TEST",)).await;
    assert_eq!((folder.as_str(), value.as_str()), ("/usr", "it's \"ü\" $HOME `id`\n!"));
    let place = subject.close().await;
    let nowhere = Subject::new(place, |setup| setup.current_dir = Some("/nowhere".to_owned()));
    let error = nowhere.tunnel.connect().await.expect_err("the folder does not exist");
    // The report shows the last line of stderr, and some clients have that.
    let stderr = match error.kind() {
        ErrorKind::NoAgent { stderr, .. } => stderr.clone(),
        _ => error.report(),
    };
    assert!(stderr.contains("/nowhere"), "{stderr}");
    nowhere.leave().await;
}

/// Off unless asked for.
pub async fn site_packages_are_there_only_if_asked_for(place: Place) {
    let without = Subject::new(place, |_| ());
    assert!(!without.call::<bool>("far:has_site_packages", ()).await);
    let with = Subject::new(without.close().await, |setup| setup.site_packages = true);
    assert!(with.call::<bool>("far:has_site_packages", ()).await);
    with.close().await;
}

/// Counted over several connections, since what the runtime opens once stays open.
pub async fn connections_leave_no_descriptor_and_no_process(place: Place) {
    let subject = Subject::new(place, |_| ());
    let mut before = 0;
    for round in 0..4 {
        subject.works().await;
        if round == 2 {
            drop(subject.tunnel.call::<()>("far:die", (9,)).await);
        }
        subject.tunnel.close().await.unwrap_or_else(|error| panic!("{}", error.report()));
        childless().await;
        if round == 0 {
            before = processes::open_descriptors();
        }
    }
    let fine = || processes::open_descriptors() <= before;
    assert!(eventually(fine).await, "{before}, now {}", processes::open_descriptors());
    subject.leave().await;
}

/// Where the far side has one.
pub async fn python_2_serves_as_well(place: Place) {
    let (place, python) = place.with_python2();
    let subject = Subject::new(place, |setup| setup.python = Some(python));
    assert_eq!(subject.connect().await.python.map(|(major, ..)| major), Some(2));
    let version: String = subject.call("far:version", ()).await;
    assert!(version.starts_with("2.7"), "{version}");
    let answer: (i64, i64, String, u32, String) = subject.call("shop.orders:left", (3,)).await;
    assert_eq!(answer.0, 7);
    let error = subject.fail("shop.orders:refuse", (11,)).await;
    assert_eq!(error.remote().expect("it raises").message, "only 10 left, not 11 é");
    subject.close().await;
}

/// Without knowing what the far side has.
pub async fn auto_finds_an_interpreter(place: Place) {
    let subject = Subject::new(place, |setup| setup.python = Some(Interpreter::auto()));
    assert!(subject.connect().await.python >= Some((3, 4, 0)));
    subject.works().await;
    subject.close().await;
}
