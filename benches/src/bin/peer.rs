//! Measures chopsticks by whole workloads, one JSON line for each run: see `benches/README.md`.
//!
//! `peer WORKLOAD [key=value …]`, where the workload is `connect`, `call`, `pipeline`, `payload`, `file`, `share`,
//! `fanout`, `group`, `pool`, `wire` or `import`. The agents run under `$AGENT_PYTHON`, by default `/usr/bin/python3`.

#![expect(clippy::print_stdout, reason = "the result is what it prints")]

use std::{
    collections::HashMap,
    env, fs,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Mutex,
    time::{Duration, Instant},
};

use chopsticks::{Call, Codebase, Fetch, Group, Local, Pool, Progress, Put, Target, Tunnel, TunnelConfig};
use futures::{StreamExt as _, future::try_join_all};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

#[derive(Clone, Deserialize, Serialize)]
struct Record {
    id: u64,
    name: String,
    score: f64,
    tags: (String, String),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut args = env::args().skip(1);
    let workload = args.next().unwrap_or_default();
    let options: HashMap<String, String> = args
        .filter_map(|arg| arg.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())))
        .collect();
    let number =
        |key: &str, default: usize| options.get(key).and_then(|text| text.parse().ok()).unwrap_or(default);
    let text = |key: &str, default| options.get(key).map_or(default, String::as_str);
    let result = match workload.as_str() {
        "connect" => connect(&place(text("target", "local"))?, number("n", 5)).await?,
        "call" => call(&place(text("target", "local"))?, number("n", 2000), number("warm", 50)).await?,
        "echo" => echo(&place(text("target", "local"))?, number("n", 5)).await?,
        "bare" => bare(text("target", "local"), number("n", 5)).await?,
        "pipeline" => pipeline(number("n", 2000)).await?,
        "payload" => payload(text("kind", "ret1m"), number("n", 7)).await?,
        "file" => file(&place(text("target", "local"))?, text("op", "put")).await?,
        "share" => share(&place(text("target", "local"))?, text("op", "put"), number("n", 4)).await?,
        "fanout" => fanout(&place(text("target", "local"))?, number("n", 10)).await?,
        "group" => group(&place(text("target", "local"))?, number("n", 10), number("bytes", 0)).await?,
        "wire" => wire(text("ms", "0")).await?,
        "pool" => pool(number("hosts", 8), number("items", 100_000), &options).await?,
        "import" => import(text("how", "imported"), text("ms", "10")).await?,
        _ => json!({"skip": format!("no workload {workload:?}")}),
    };
    println!("{result}");
    Ok(())
}

/// Spreads items over local agents: `kind=noop`, or `kind=sleep` with items of a millisecond. `per_host=` and `ahead=` as in the API.
async fn pool(hosts: usize, items: usize, options: &HashMap<String, String>) -> Result<Value> {
    let setting = |key: &str| options.get(key).and_then(|text| text.parse::<usize>().ok());
    let per_host = setting("per_host").unwrap_or(1);
    let group = Group::new((0..hosts).map(|n| tunnel(local().name(format!("agent{n}")))))?;
    group.connect().await.raise_failures()?;
    let pool = Pool::new(&group).per_host(per_host);
    let pool = setting("ahead").map_or(pool.clone(), |ahead| pool.ahead(ahead));
    let is_sleep = options.get("kind").is_some_and(|kind| kind == "sleep");
    let function = if is_sleep { "workload:millisecond" } else { "workload:nothing" };
    let (begun, cpu) = (Instant::now(), cpu_time(std::process::id()));
    let run = pool.map::<()>(function, 0..items);
    let run = if options.contains_key("ordered") { run.ordered() } else { run };
    let done = run.filter(|done| std::future::ready(done.outcome.is_ok())).count().await;
    let took = begun.elapsed().as_secs_f64();
    let own = cpu_time(std::process::id()) - cpu;
    group.close().await.raise_failures()?;
    let mut result = json!({
        "hosts": hosts, "items": done, "s": took, "items_per_s": done as f64 / took,
        "controller_us_per_item": own * 1e6 / done as f64,
    });
    if is_sleep {
        let ideal = items as f64 * 0.001 / (hosts * per_host) as f64;
        result["of_ideal"] = (ideal / took).into();
    }
    Ok(result)
}

fn tunnel(driver: Local) -> Tunnel {
    Tunnel::with_config(driver, config())
}

fn config() -> TunnelConfig {
    TunnelConfig::default().modules(Codebase::folder(Path::new(env!("CARGO_MANIFEST_DIR")).join("python")))
}

fn local() -> Local {
    Local::new().python(env::var("AGENT_PYTHON").unwrap_or_else(|_| "/usr/bin/python3".to_owned()))
}

/// How a workload's tunnels are made; each gets a number.
type Place = Box<dyn Fn(usize) -> Result<Tunnel>>;

/// Reads `target=`.
fn place(text: &str) -> Result<Place> {
    let config = config();
    if text == "local" {
        return Ok(Box::new(move |n| {
            Ok(Tunnel::with_config(local().name(format!("agent-{n}")), config.clone()))
        }));
    }
    let target = match text {
        "docker" => format!("docker://{}?network=none", image()?),
        _ => ssh_alias(text).map_or(Ok(text.to_owned()), |alias| {
            Ok::<_, env::VarError>(format!("ssh://{alias}?config={}/ssh/config", env::var("CHOPSTICKS_LAB")?))
        })?,
    };
    Ok(Box::new(move |n| Ok(format!("agent-{n}={target}").parse::<Target>()?.tunnel(config.clone()))))
}

/// The test host that stands for a target.
fn ssh_alias(target: &str) -> Option<&'static str> {
    match target {
        "ssh" => Some("plain"),
        "sshdelay" => Some("far"),
        _ => None,
    }
}

/// The newest image of the test hosts.
fn image() -> Result<String> {
    let images = fs::read_to_string(PathBuf::from(env::var("CHOPSTICKS_LAB")?).join("images"))?;
    Ok(images.lines().next_back().ok_or("there is no image")?.to_owned())
}

async fn noop(tunnel: &Tunnel) -> Result<u32, chopsticks::Error> {
    tunnel.call("os:getpid", ()).await
}

/// From making the tunnel to the result of its first call.
async fn connect(place: &Place, rounds: usize) -> Result<Value> {
    let (mut opened, mut closed) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let begin = Instant::now();
        let tunnel = place(0)?;
        noop(&tunnel).await?;
        opened.push(millis(begin.elapsed()));
        let begin = Instant::now();
        tunnel.close().await?;
        closed.push(millis(begin.elapsed()));
    }
    let rest = if opened.len() > 1 { opened[1..].to_vec() } else { opened.clone() };
    Ok(json!({"first_ms": opened[0], "next_ms": quantile(rest, 0.5), "close_ms": quantile(closed, 0.5)}))
}

/// Calls one after another on a warm tunnel.
async fn call(place: &Place, count: usize, warm: usize) -> Result<Value> {
    let tunnel = place(0)?;
    for _ in 0..warm {
        noop(&tunnel).await?;
    }
    let agent = tunnel.connect().await?.pid;
    let (own, theirs) = (cpu_time(std::process::id()), cpu_time(agent));
    let mut times = Vec::with_capacity(count);
    let begin = Instant::now();
    for _ in 0..count {
        let begin = Instant::now();
        noop(&tunnel).await?;
        times.push(begin.elapsed().as_secs_f64() * 1e6);
    }
    let total = begin.elapsed().as_secs_f64();
    let per_call = |before: f64, pid| (cpu_time(pid) - before) / count as f64 * 1e6;
    let result = json!({
        "calls_s": count as f64 / total,
        "cpu_ctl_us": per_call(own, std::process::id()),
        "cpu_agent_us": per_call(theirs, agent),
        "median_us": quantile(times.clone(), 0.5),
        "p99_us": quantile(times, 0.99),
    });
    tunnel.close().await?;
    Ok(result)
}

/// What the same takes without chopsticks: the client starts an interpreter that does nothing.
async fn bare(target: &str, rounds: usize) -> Result<Value> {
    let python = env::var("AGENT_PYTHON").unwrap_or_else(|_| "/usr/bin/python3".to_owned());
    let line = format!("exec {python} -S -s -c pass");
    let (program, arguments) = match (target, ssh_alias(target)) {
        (_, Some(alias)) => {
            let file = format!("{}/ssh/config", env::var("CHOPSTICKS_LAB")?);
            ("ssh", vec!["-F".to_owned(), file, "-T".to_owned(), alias.to_owned(), line])
        }
        ("docker", _) => {
            let options = ["run", "-i", "--rm", "--init", "--log-driver=none", "--network=none"];
            let mut arguments: Vec<_> = options.map(str::to_owned).to_vec();
            arguments.extend([image()?, "python3".to_owned()]);
            arguments.extend(["-S", "-s", "-c", "pass"].map(str::to_owned));
            ("docker", arguments)
        }
        _ => ("sh", vec!["-c".to_owned(), line]),
    };
    let mut times = Vec::new();
    for _ in 0..rounds {
        let begin = Instant::now();
        let status =
            tokio::process::Command::new(program).args(&arguments).stdin(Stdio::null()).status().await?;
        times.push(millis(begin.elapsed()));
        if !status.success() {
            return Err(format!("{program}: {status}").into());
        }
    }
    Ok(json!({"ms": quantile(times, 0.5)}))
}

/// Bytes there and back: 64 MiB in pieces of 4 MiB, of which four are under way.
async fn echo(place: &Place, rounds: usize) -> Result<Value> {
    let tunnel = place(0)?;
    noop(&tunnel).await?;
    let bytes = serde_bytes::ByteBuf::from(vec![0xa5; 4 << 20]);
    let mut times = Vec::new();
    for _ in 0..rounds {
        let begin = Instant::now();
        for _ in 0..4 {
            let calls = (0..4).map(|_| tunnel.call_with(Call::new("workload:echo").args((&bytes,))));
            for reply in try_join_all(calls).await? {
                assert_eq!(reply.into_bytes().map(|bytes| bytes.len()), Some(4 << 20));
            }
        }
        times.push(begin.elapsed().as_secs_f64());
    }
    tunnel.close().await?;
    Ok(json!({"mb_s_each_way": f64::from(64 << 20) / 1e6 / quantile(times, 0.5)}))
}

/// Calls that are all under way together on one tunnel.
async fn pipeline(count: usize) -> Result<Value> {
    let tunnel = tunnel(local());
    noop(&tunnel).await?;
    let call = Call::new("os:getpid");
    try_join_all((0..count.min(50)).map(|_| tunnel.call_with(call.clone()))).await?;
    let begin = Instant::now();
    for reply in try_join_all((0..count).map(|_| tunnel.call_with(call.clone()))).await? {
        reply.decode::<u32>()?;
    }
    let total = begin.elapsed().as_secs_f64();
    tunnel.close().await?;
    Ok(json!({"calls_s": count as f64 / total, "total_ms": total * 1e3}))
}

/// Large arguments and results.
async fn payload(kind: &str, rounds: usize) -> Result<Value> {
    let tunnel = tunnel(local());
    noop(&tunnel).await?;
    let size = match kind {
        "ret1m" | "send1m" => 1 << 20,
        "ret16m" | "send16m" => 16 << 20,
        _ => 0,
    };
    let bytes = serde_bytes::ByteBuf::from(vec![0xa5; size]);
    let records: Vec<Record> = (0..10_000).map(record).collect();
    let mut times = Vec::new();
    for round in 0..=rounds {
        let begin = Instant::now();
        match kind {
            "retlist" => {
                let list: Vec<Record> = tunnel.call("workload:ret_list", (10_000,)).await?;
                assert_eq!(list.len(), 10_000);
            }
            "sendlist" => assert_eq!(tunnel.call::<usize>("workload:take_list", (&records,)).await?, 10_000),
            _ if kind.starts_with("ret") => {
                let reply = tunnel.call_with(Call::new("workload:ret_bytes").args((size,))).await?;
                assert_eq!(reply.into_bytes().map(|bytes| bytes.len()), Some(size));
            }
            _ => assert_eq!(tunnel.call::<usize>("workload:take_bytes", (&bytes,)).await?, size),
        }
        // The first round imports and prepares.
        if round > 0 {
            times.push(begin.elapsed().as_secs_f64());
        }
    }
    tunnel.close().await?;
    let median = quantile(times, 0.5);
    let mut result = json!({"ms": median * 1e3, "maxrss_mb": peak_mb()});
    if size > 0 {
        result["mb_s"] = json!(size as f64 / 1e6 / median);
    }
    Ok(result)
}

fn record(i: u32) -> Record {
    let tags = (format!("tag{}", i % 7), format!("grp{}", i % 101));
    Record { id: i.into(), name: format!("item-{i:06}"), score: f64::from(i) * 0.37 + 0.125, tags }
}

/// One file of 256 MiB, checksummed on both sides; or with `both` four of them each way, and the latency of calls meanwhile.
async fn file(place: &Place, op: &str) -> Result<Value> {
    let ram = PathBuf::from(env::var("LAB")?).join("ram");
    let source = ram.join("src.bin");
    let target = |name: &str| ram.join(format!("chopsticks-{}-{name}", std::process::id()));
    let tunnel = place(0)?;
    noop(&tunnel).await?;
    let before = cpu_time(std::process::id());
    let begin = Instant::now();
    let mut latencies = Latencies::default();
    let size = match op {
        "put" => tunnel.put(source, target("a")).await?.size,
        "get" => tunnel.fetch(source, target("a")).await?.size,
        _ => {
            let moved = async {
                let mut size = 0;
                for _ in 0..4 {
                    let (put, got) = tokio::try_join!(
                        tunnel.put(&source, target("a")),
                        tunnel.fetch(&source, target("b"))
                    )?;
                    size += put.size + got.size;
                }
                Ok::<_, chopsticks::Error>(size)
            };
            tokio::pin!(moved);
            loop {
                tokio::select! {
                    biased;
                    size = &mut moved => break size?,
                    latency = timed(&tunnel) => latencies.add(latency?),
                }
            }
        }
    };
    let seconds = begin.elapsed().as_secs_f64();
    let own = cpu_time(std::process::id()) - before;
    for name in ["a", "b"] {
        let _ = fs::remove_file(target(name));
    }
    tunnel.close().await?;
    Ok(json!({
        "mb_s": size as f64 / 1e6 / seconds,
        "s": seconds,
        "maxrss_mb": peak_mb(),
        "cpu_ctl_s": own,
        "call_median_us": latencies.quantile(0.5),
        "call_p99_us": latencies.quantile(0.99),
    }))
}

/// Several transfers on one tunnel: how far the others are when the first has come to its end.
async fn share(place: &Place, op: &str, count: usize) -> Result<Value> {
    let ram = PathBuf::from(env::var("LAB")?).join("ram");
    let source = ram.join("src.bin");
    let size = fs::metadata(&source)?.len();
    let tunnel = place(0)?;
    noop(&tunnel).await?;
    let moved = Mutex::new(vec![0; count]);
    let at_first_end = Mutex::new(Vec::new());
    let transfers = (0..count).map(async |number| {
        let target = ram.join(format!("chopsticks-{}-{number}", std::process::id()));
        let tell = |progress: Progress| {
            let mut moved = moved.lock().expect("nobody panics");
            moved[number] = progress.done;
            let mut first = at_first_end.lock().expect("nobody panics");
            if progress.done == size && first.is_empty() {
                first.clone_from(&moved);
            }
        };
        let done = match op {
            "put" => tunnel.put_with(Put::new(&source).to(&target).on_progress(tell)).await,
            _ => tunnel.fetch_with(Fetch::new(&source).to(&target).on_progress(tell)).await,
        };
        let _ = fs::remove_file(target);
        done
    });
    let begin = Instant::now();
    try_join_all(transfers).await?;
    let seconds = begin.elapsed().as_secs_f64();
    tunnel.close().await?;
    let first = at_first_end.into_inner()?;
    let parts: Vec<f64> = first.iter().map(|&done| done as f64 / size as f64).collect();
    Ok(json!({
        "mb_s": (size * count as u64) as f64 / 1e6 / seconds,
        "least": quantile(parts.clone(), 0.0),
        "parts": parts,
        "maxrss_mb": peak_mb(),
    }))
}

/// How often calls took how many microseconds: in as much memory however many there are, since memory is measured.
struct Latencies(Box<[u32; 100_000]>);

impl Default for Latencies {
    fn default() -> Self {
        Self(Box::new([0; 100_000]))
    }
}

impl Latencies {
    fn add(&mut self, micros: f64) {
        let last = self.0.len() - 1;
        self.0[(micros as usize).min(last)] += 1;
    }

    fn quantile(&self, part: f64) -> usize {
        let wanted = (f64::from(self.0.iter().sum::<u32>()) * part) as u32;
        let mut seen = 0;
        let reaches = |count: &u32| {
            seen += count;
            seen > wanted
        };
        self.0.iter().position(reaches).unwrap_or(0)
    }
}

/// The microseconds that a call takes.
async fn timed(tunnel: &Tunnel) -> Result<f64, chopsticks::Error> {
    let begin = Instant::now();
    noop(tunnel).await?;
    Ok(begin.elapsed().as_secs_f64() * 1e6)
}

/// Many agents at once.
async fn fanout(place: &Place, count: usize) -> Result<Value> {
    let begin = Instant::now();
    let tunnels: Vec<Tunnel> = (0..count).map(place).collect::<Result<_>>()?;
    let pids = try_join_all(tunnels.iter().map(noop)).await?;
    let wall = begin.elapsed().as_secs_f64();
    let begin = Instant::now();
    try_join_all(tunnels.iter().map(noop)).await?;
    let second = millis(begin.elapsed());
    let threads = |pid: u32| fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    let mut result = json!({
        "wall_s": wall,
        "second_call_ms": second,
        "cpu_ctl_s": cpu_time(std::process::id()),
        "cpu_kids_s": pids.iter().map(|&pid| cpu_time(pid)).sum::<f64>(),
        "per_agent_pss_mb": pids.iter().map(|&pid| pss_mb(pid)).sum::<f64>() / count as f64,
        "procs": pids.len(),
        "ctl_maxrss_mb": peak_mb(),
        "ctl_pss_mb": pss_mb(std::process::id()),
        "ctl_threads": threads(std::process::id()),
        "agent_threads": pids.iter().map(|&pid| threads(pid)).sum::<usize>() as f64 / count as f64,
    });
    let begin = Instant::now();
    try_join_all(tunnels.iter().map(Tunnel::close)).await?;
    result["close_s"] = json!(begin.elapsed().as_secs_f64());
    Ok(result)
}

/// A group: connect, call with an argument of so many bytes, and close; and what as many bare interpreters take, started before in the same way.
async fn group(place: &Place, count: usize, bytes: usize) -> Result<Value> {
    let floor = Instant::now();
    let mut bare = futures::stream::iter(0..count).map(|_| bare_local()).buffer_unordered(CONNECTING);
    while let Some(ended) = bare.next().await {
        ended?;
    }
    let floor = floor.elapsed().as_secs_f64();
    let group = Group::new((0..count).map(place).collect::<Result<Vec<_>>>()?)?;
    let argument = serde_bytes::ByteBuf::from(vec![0xa5; bytes]);
    let (before, cpu, descriptors) = (resident_kib(), cpu_time(std::process::id()), entries("/proc/self/fd"));
    let begin = Instant::now();
    let lengths = group.call::<usize>("builtins:len", (&argument,)).await.raise_failures()?;
    let wall = begin.elapsed().as_secs_f64();
    assert!(lengths.iter().all(|(_, len)| *len == bytes));
    let cpu = cpu_time(std::process::id()) - cpu;
    let begin = Instant::now();
    let pids = group.call::<u32>("os:getpid", ()).await.raise_failures()?;
    let second = millis(begin.elapsed());
    let per_host = |total: f64| total / count as f64;
    let mut result = json!({
        "floor_s": floor,
        "wall_s": wall,
        "ratio": wall / floor,
        "second_call_ms": second,
        "cpu_ctl_s": cpu,
        "ctl_maxrss_mb": peak_mb(),
        "ctl_kib_per_host": per_host(peak_mb() * 1024.0 - before),
        "ctl_threads": entries("/proc/self/task"),
        "descriptors_per_host": per_host((entries("/proc/self/fd") - descriptors) as f64),
        "agent_pss_mb": pids.iter().take(50).map(|(_, pid)| pss_mb(*pid)).sum::<f64>() / count.min(50) as f64,
    });
    let begin = Instant::now();
    group.close().await.raise_failures()?;
    result["close_s"] = json!(begin.elapsed().as_secs_f64());
    // Those that have ended and were not reaped are among them.
    let children = fs::read_to_string("/proc/thread-self/children")?;
    result["children_left"] = json!(children.split_whitespace().count());
    Ok(result)
}

/// Starts an interpreter that does nothing, as tunnels start theirs.
async fn bare_local() -> Result<()> {
    let python = env::var("AGENT_PYTHON").unwrap_or_else(|_| "/usr/bin/python3".to_owned());
    let mut command = tokio::process::Command::new(python);
    command.args(["-S", "-s", "-c", "pass"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn()?.wait().await?;
    Ok(())
}

/// Bytes and round trips of a connection and one call.
async fn wire(delay: &str) -> Result<Value> {
    let wire = Wire::new()?;
    let begin = Instant::now();
    let tunnel = tunnel(wire.driver(delay));
    noop(&tunnel).await?;
    let connected = millis(begin.elapsed());
    tunnel.close().await?;
    let mut result = wire.counts()?;
    result["connect_ms"] = json!(connected);
    Ok(result)
}

/// The first call of a function that needs a package of fifty modules: imported around it, or in its body.
async fn import(how: &str, delay: &str) -> Result<Value> {
    let folder = env::temp_dir().join(format!("chopsticks-import-{}", std::process::id()));
    package(&folder.join("pkg50"))?;
    fs::write(folder.join("lazy.py"), "def run():\n    from pkg50 import main\n    return main.run()\n")?;
    let function = if how == "lazy" { "lazy:run" } else { "pkg50.main:run" };
    let wire = Wire::new()?;
    let config = TunnelConfig::default().modules(Codebase::folder(&folder));
    let tunnel = Tunnel::with_config(wire.driver(delay), config);
    noop(&tunnel).await?;
    let mut times = Vec::new();
    for _ in 0..2 {
        let begin = Instant::now();
        let sum: usize = tunnel.call(function, ()).await?;
        times.push(millis(begin.elapsed()));
        assert_eq!(sum, (0..50).sum::<usize>());
    }
    tunnel.close().await?;
    fs::remove_dir_all(&folder)?;
    let counts = wire.counts()?;
    Ok(json!({"import_ms": times[0], "again_ms": times[1], "turns": counts["turns"], "up": counts["up"]}))
}

/// Writes a package of a main module and fifty that import the next and the seventh next, with some ordinary code in each.
fn package(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let helpers: String = (0..6)
        .map(|k| {
            format!(
                "\n\ndef helper_{k}(value, scale={}):\n    \"\"\"Scales a value and adds an offset (number {k}).\"\"\"\n    \
                 # A comment, as ordinary code has them.\n    result = value * scale + {k}\n    return result\n",
                k + 1
            )
        })
        .collect();
    for n in 0..50 {
        let mut imports = String::new();
        if n + 1 < 50 {
            imports += &format!("from pkg50 import m{:02}\n", n + 1);
        }
        if n + 7 < 50 {
            imports += &format!("from pkg50.m{0:02} import value as value_{0}\n", n + 7);
        }
        let source = format!(
            "\"\"\"Module {n}.\"\"\"\nimport os\nimport json\n{imports}\n\ndef value():\n    return {n}\n{helpers}"
        );
        fs::write(folder.join(format!("m{n:02}.py")), source)?;
    }
    fs::write(folder.join("__init__.py"), "\"\"\"Fifty modules.\"\"\"\n")?;
    let main = "from pkg50 import m00\nimport sys\n\n\ndef run():\n    names = ['pkg50.m%02d' % n for n in range(50)]\n    \
                return sum(sys.modules[name].value() for name in names)\n";
    fs::write(folder.join("main.py"), main)?;
    Ok(())
}

/// An interpreter wrapper that counts and delays bytes: `$LAB/target/release/wire`.
struct Wire {
    program: PathBuf,
    log: PathBuf,
}

impl Wire {
    fn new() -> Result<Self> {
        let lab = PathBuf::from(env::var("LAB")?);
        let log = lab.join(format!("wire-{}.log", std::process::id()));
        Ok(Self { program: lab.join("target/release/wire"), log })
    }

    /// Each byte is under way for `delay` milliseconds.
    fn driver(&self, delay: &str) -> Local {
        Local::new()
            .python(self.program.clone())
            .env("LAB_WRAP_PY", env::var("AGENT_PYTHON").unwrap_or_else(|_| "/usr/bin/python3".to_owned()))
            .env("LAB_WRAP_MS", delay)
            .env("LAB_WRAP_LOG", &self.log)
    }

    /// What it counted, once the tunnel is closed.
    fn counts(&self) -> Result<Value> {
        let counts = serde_json::from_str(&fs::read_to_string(&self.log)?)?;
        fs::remove_file(&self.log)?;
        Ok(counts)
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn quantile(mut values: Vec<f64>, at: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * at) as usize]
}

/// Seconds of CPU time of all threads of a live process.
fn cpu_time(pid: u32) -> f64 {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0.0 };
    let nanos = tasks.flatten().filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    nanos.sum::<f64>() / 1e9
}

fn pss_mb(pid: u32) -> f64 {
    kilobytes(&format!("/proc/{pid}/smaps_rollup"), "Pss:") / 1024.0
}

fn resident_kib() -> f64 {
    kilobytes("/proc/self/status", "VmRSS:")
}

/// How much is in a folder.
fn entries(folder: &str) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}

fn peak_mb() -> f64 {
    kilobytes("/proc/self/status", "VmHWM:") / 1024.0
}

fn kilobytes(file: &str, key: &str) -> f64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    line.trim().split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// How many hosts of a group connect at once.
const CONNECTING: usize = 64;
