//! Starts a server as a process of its own, waits until it listens, and stops it.
//!
//! ```no_run
//! # use harness::process::Launch;
//! let server = Launch::own_host("target/native/edge-host")
//!     .manifest("spin.toml")
//!     .state_dir("/tmp/state")
//!     .variables(["log_level=warn"])
//!     .quiet()
//!     .start()?;
//! println!("http://{} takes {} MiB", server.address(), server.memory_mib()?);
//! # anyhow::Ok(())
//! ```

use anyhow::{Context, Result, bail, ensure};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two looks at a condition.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// The longest time that a server may take until it listens, unless [`Launch::start_timeout`] says otherwise.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest time that a server that is dropped may take to end by itself.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);
/// The text that a server prints before its address.
const SCHEME: &str = "http://";

/// Returns a port of 127.0.0.1 that nobody listened on a moment ago.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Asks again and again until there is an answer. Errors after `timeout`, or as soon as asking does; `what` says what
/// was waited for.
pub fn poll<T>(what: &str, timeout: Duration, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        ensure!(start.elapsed() < timeout, "waited {timeout:?} in vain: {what}");
        // A line of a server's output ends the wait, so that the time of its start can be measured.
        std::thread::park_timeout(POLL_INTERVAL);
    }
}

/// Where a server's output goes.
#[derive(Clone, Debug)]
pub enum Output {
    /// Into [`Process::log`], line by line.
    Collect,
    /// Into a file, which is made or emptied.
    File(PathBuf),
    /// To where our own goes.
    Inherit,
    /// Nowhere.
    Discard,
}

/// The sign that a server listens.
#[derive(Clone, Debug)]
enum Ready {
    /// The first line of its output that has `http://` and an address in it.
    Line,
    /// A connection to this address.
    Connection(String),
}

/// A server that is about to be started.
#[derive(Debug)]
pub struct Launch {
    command: Command,
    ready: Ready,
    /// Spin's address, which it is told; others say theirs.
    address: Option<String>,
    /// True if it leads a process group of its own: see [`Launch::own_group`].
    leads_group: bool,
    stdout: Output,
    stderr: Output,
    start_timeout: Duration,
}

impl Launch {
    /// The project's own host, on a port that the system chooses.
    pub fn own_host(program: impl AsRef<Path>) -> Launch {
        let mut command = Command::new(program.as_ref());
        command.args(["--listen", "127.0.0.1:0"]);
        Launch::program(command)
    }

    /// Spin from the path, on a free port.
    pub fn spin() -> Result<Launch> {
        let address = format!("127.0.0.1:{}", free_port()?);
        let mut command = Command::new("spin");
        command.args(["up", "--listen", &address]);
        // It serves from a child, `spin trigger http`, which goes on when its parent is killed.
        Ok(Launch { address: Some(address), ..Launch::program(command).own_group() })
    }

    /// Any program that prints the address it listens on as `http://...`.
    pub fn program(command: Command) -> Launch {
        Launch {
            command,
            ready: Ready::Line,
            address: None,
            leads_group: false,
            stdout: Output::Collect,
            stderr: Output::Inherit,
            start_timeout: START_TIMEOUT,
        }
    }

    /// Any program that was told to listen on an address. Its output is discarded unless that is changed.
    pub fn listening_on(command: Command, address: impl Into<String>) -> Launch {
        let ready = Ready::Connection(address.into());
        Launch { ready, stdout: Output::Discard, ..Launch::program(command) }
    }

    /// Serves the application of a manifest. Of the two hosts, like all that follows up to [`Launch::quiet`].
    pub fn manifest(self, file: impl AsRef<Path>) -> Launch {
        self.args(["--from".as_ref(), file.as_ref().as_os_str()])
    }

    /// Keeps the store and all else that outlives the server in a folder.
    pub fn state_dir(self, folder: impl AsRef<Path>) -> Launch {
        self.args(["--state-dir".as_ref(), folder.as_ref().as_os_str()])
    }

    /// Configures the stores by a file.
    pub fn runtime_config(self, file: impl AsRef<Path>) -> Launch {
        self.args(["--runtime-config-file".as_ref(), file.as_ref().as_os_str()])
    }

    /// Sets variables of the application, each as `name=value`.
    pub fn variables<S: AsRef<OsStr>>(mut self, variables: impl IntoIterator<Item = S>) -> Launch {
        for variable in variables {
            self.command.arg("--variable").arg(variable);
        }
        self
    }

    /// Leaves the application's log out.
    pub fn quiet(mut self) -> Launch {
        // Spin does not say where it listens either, then.
        if let Some(address) = &self.address {
            self.ready = Ready::Connection(address.clone());
        }
        self.args(["--quiet"])
    }

    /// Sets a variable of the server's environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Launch {
        self.command.env(name, value);
        self
    }

    /// Adds arguments of any kind.
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Launch {
        self.command.args(args);
        self
    }

    /// Starts in a process group of its own, so that whatever the server starts is killed with it. A Ctrl-C for our own
    /// group does not reach it then.
    pub fn own_group(mut self) -> Launch {
        self.leads_group = lead_group(&mut self.command);
        self
    }

    /// Starts in a folder.
    pub fn current_dir(mut self, folder: impl AsRef<Path>) -> Launch {
        self.command.current_dir(folder);
        self
    }

    /// Sends the standard output somewhere. What is waited for by its line must be collected, which is the default.
    pub fn stdout(mut self, output: Output) -> Launch {
        self.stdout = output;
        self
    }

    /// Sends the standard error somewhere. By default it goes to where our own goes.
    pub fn stderr(mut self, output: Output) -> Launch {
        self.stderr = output;
        self
    }

    /// Waits so long until it listens.
    pub fn start_timeout(mut self, timeout: Duration) -> Launch {
        self.start_timeout = timeout;
        self
    }

    /// Starts the server and waits until it listens. Errors with the output that was collected if it ends first.
    pub fn start(mut self) -> Result<Process> {
        self.command.stdout(stdio(&self.stdout)?).stderr(stdio(&self.stderr)?);
        let child = self.command.spawn().with_context(|| format!("cannot start {:?}", self.command))?;
        // From here on, whatever fails, the process ends with the value.
        let mut process = Process {
            child,
            leads_group: self.leads_group,
            address: String::new(),
            log: Arc::default(),
            readers: Vec::new(),
        };
        if let Some(stream) = process.child.stdout.take() {
            process.collect(stream);
        }
        if let Some(stream) = process.child.stderr.take() {
            process.collect(stream);
        }
        process.address = poll("the server listens", self.start_timeout, || {
            // Looked at before it is asked: another may listen there if it could not.
            if let Some(status) = process.child.try_wait()? {
                process.finish_log();
                bail!("the server ended with {status}: {}", process.log());
            }
            Ok(match &self.ready {
                Ready::Line => address(&lock(&process.log)),
                Ready::Connection(address) => TcpStream::connect(address).is_ok().then(|| address.clone()),
            })
        })
        .with_context(|| format!("{:?} did not start", self.command.get_program()))?;
        Ok(process)
    }
}

/// Has a command start a process group, and returns whether it will.
#[cfg(unix)]
fn lead_group(command: &mut Command) -> bool {
    std::os::unix::process::CommandExt::process_group(command, 0);
    true
}

#[cfg(not(unix))]
fn lead_group(_: &mut Command) -> bool {
    false
}

fn stdio(output: &Output) -> Result<Stdio> {
    Ok(match output {
        Output::Collect => Stdio::piped(),
        Output::File(file) => File::create(file).with_context(|| format!("cannot write {}", file.display()))?.into(),
        Output::Inherit => Stdio::inherit(),
        Output::Discard => Stdio::null(),
    })
}

/// The first address in the whole lines of a log.
fn address(log: &str) -> Option<String> {
    log.lines().find_map(|line| {
        let address = line.split_once(SCHEME)?.1.split(['/', ' ']).next()?;
        address.contains(':').then(|| address.to_owned())
    })
}

fn lock(log: &Mutex<String>) -> std::sync::MutexGuard<'_, String> {
    // Text is whole whoever failed while holding it.
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A server that runs. It ends with this value: asked first, killed if it does not.
#[derive(Debug)]
pub struct Process {
    child: Child,
    leads_group: bool,
    address: String,
    log: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Returns where it listens: a host and a port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns the process's id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns everything that it has printed, as far as that is collected.
    pub fn log(&self) -> String {
        lock(&self.log).clone()
    }

    /// Returns the mebibytes of the server and of all that it started. What they share is counted once.
    pub fn memory_mib(&self) -> Result<f64> {
        let mut sum = 0.0;
        for process in tree(self.id())? {
            let rollup = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
            let size = rollup.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB"));
            let size = size.context("the kernel does not say how much memory a process has")?;
            sum += size.trim().parse::<f64>()? / 1024.0;
        }
        Ok(sum)
    }

    /// Returns how long the server and all that it started have been at work.
    pub fn processor_time(&self) -> Result<Duration> {
        let mut ticks = 0;
        for process in tree(self.id())? {
            let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
            // After the name, which may have blanks in it, the 12th and 13th fields are user and system time.
            let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
            let times = fields.split_whitespace().skip(11).take(2);
            ticks += times.filter_map(|field| field.parse::<u64>().ok()).sum::<u64>();
        }
        // Linux shows a hundred a second, whatever its own clock does.
        Ok(Duration::from_millis(10 * ticks))
    }

    /// Returns how many files and connections the server and all that it started have open.
    pub fn descriptors(&self) -> Result<usize> {
        let mut sum = 0;
        for process in tree(self.id())? {
            sum += std::fs::read_dir(format!("/proc/{process}/fd"))?.count();
        }
        Ok(sum)
    }

    /// Returns how it ended, or `None` while it runs.
    pub fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Sends a signal, as `-TERM`. `-KILL` reaches all that the server started, where it leads a process group: others
    /// it can pass on itself.
    pub fn signal(&self, signal: &str) -> Result<()> {
        let group = if self.leads_group && signal == "-KILL" { "-" } else { "" };
        let target = format!("{group}{}", self.id());
        let status = Command::new("kill").args([signal, "--", &target]).stderr(Stdio::null()).status()?;
        ensure!(status.success(), "kill {signal} {target} ended with {status}");
        Ok(())
    }

    /// Sends a signal and waits for the end. Errors if that takes longer than `timeout`.
    pub fn stop(&mut self, signal: &str, timeout: Duration) -> Result<ExitStatus> {
        self.signal(signal)?;
        let status = poll("the server ends", timeout, || self.exit_status())?;
        self.finish_log();
        Ok(status)
    }

    /// Ends it at once, in the middle of whatever it is doing.
    pub fn kill(&mut self) {
        // Its group may be there when it has ended itself.
        if self.leads_group {
            let _ = self.signal("-KILL");
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn collect(&mut self, stream: impl Read + Send + 'static) {
        let (log, waiting) = (self.log.clone(), std::thread::current());
        self.readers.push(std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                let mut log = lock(&log);
                log.push_str(&line);
                log.push('\n');
                drop(log);
                waiting.unpark();
            }
        }));
    }

    /// Waits for the last lines of a process that has ended; not for long, as others may hold its output open.
    fn finish_log(&self) {
        let finished = || Ok(self.readers.iter().all(JoinHandle::is_finished).then_some(()));
        let _ = poll("its output ends", Duration::from_secs(1), finished);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Asked first: Spin and others have processes of their own to end.
        if matches!(self.exit_status(), Ok(None)) {
            let _ = self.stop("-TERM", STOP_TIMEOUT);
        }
        self.kill();
    }
}

/// A process and all that it started.
fn tree(process: u32) -> Result<Vec<u32>> {
    let mut all = vec![process];
    for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let children = std::fs::read_to_string(task?.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace() {
            all.extend(tree(child.parse()?)?);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends there")]

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn address_is_read_from_the_line_that_has_one() {
        let mut server =
            Launch::program(shell("echo Starting; echo 'Serving x on http://127.0.0.1:1234/'; exec sleep 60"))
                .start()
                .expect("it says where it listens");
        assert_eq!(server.address(), "127.0.0.1:1234");
        assert_eq!(server.log(), "Starting\nServing x on http://127.0.0.1:1234/\n");
        assert!(server.memory_mib().unwrap() > 0.0 && server.descriptors().unwrap() > 0);
        assert_eq!(server.exit_status().unwrap(), None);
        assert!(!server.stop("-TERM", STOP_TIMEOUT).unwrap().success());
    }

    #[test]
    fn connection_is_waited_for_where_no_line_is() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = Launch::listening_on(shell("exec sleep 60"), &address).start().expect("somebody listens");
        assert_eq!(server.address(), address);
    }

    #[test]
    fn server_that_ends_before_it_listens_is_an_error_with_its_output() {
        let error =
            Launch::program(shell("echo no such file >&2; exit 3")).stderr(Output::Collect).start().unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains("exit status: 3") && error.contains("no such file"), "{error}");
    }

    #[test]
    fn server_that_does_not_listen_in_time_is_an_error_and_ended() {
        let start = Launch::program(shell("exec sleep 60")).start_timeout(Duration::from_millis(50)).start();
        assert!(format!("{:#}", start.unwrap_err()).contains("the server listens"));
    }

    #[test]
    fn children_of_a_group_are_killed_with_it() {
        // Both the shell and its child ignore what they are asked.
        let script = "trap '' TERM; sleep 60 & echo http://127.0.0.1:$!; wait";
        let start = || Launch::program(shell(script)).own_group().start().expect("it says where it listens");
        let child = |server: &Process| server.address().rsplit_once(':').map(|(_, id)| id.to_owned()).unwrap();
        // One that nobody waits for any more is a zombie until init does.
        let is_running =
            |id: &str| std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
        let has_ended = |id: &str| poll("the child ends", STOP_TIMEOUT, || Ok((!is_running(id)).then_some(())));
        let (mut stopped, mut killed, dropped) = (start(), start(), start());
        let children = [&stopped, &killed, &dropped].map(child);
        assert!(children.iter().all(|id| is_running(id)));
        stopped.stop("-KILL", STOP_TIMEOUT).unwrap();
        killed.kill();
        drop(dropped);
        for id in children {
            has_ended(&id).unwrap();
        }
    }

    #[test]
    fn output_goes_into_a_file() {
        let file = std::env::temp_dir().join(format!("harness-{}.log", std::process::id()));
        let script = shell("echo http://127.0.0.1:1234; echo written >&2; exec sleep 60");
        let server = Launch::program(script).stderr(Output::File(file.clone())).start().unwrap();
        let text = || Ok(Some(std::fs::read_to_string(&file)?).filter(|text| !text.is_empty()));
        assert_eq!(poll("the file has it", STOP_TIMEOUT, text).unwrap(), "written\n");
        drop(server);
        std::fs::remove_file(file).unwrap();
    }
}
