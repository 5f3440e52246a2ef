//! The program itself, run by the test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::is_root;

/// The longest that anything is waited for.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The user and group `nobody`.
const NOBODY: u32 = 65534;

/// The program with `arguments`, its streams to be read by us.
pub fn pathsurvey(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pathsurvey"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs to the end and gives exit code, standard output and standard error.
pub fn run(mut command: Command) -> (Option<i32>, String, String) {
    read(command.output().unwrap())
}

pub fn read(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// A program that is ended with the test, whatever becomes of it.
pub struct Started(Child);

impl Started {
    pub fn new(mut command: Command) -> Self {
        // Nobody reads them meanwhile, and a full pipe would hold the program up.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Started(command.spawn().unwrap())
    }

    /// With its messages in `file`.
    pub fn telling(mut command: Command, file: &Path) -> Self {
        let messages = std::fs::File::create(file).unwrap();
        command.stdout(Stdio::null()).stderr(messages);
        Started(command.spawn().unwrap())
    }

    /// With messages that fail to be written.
    pub fn unheard(mut command: Command) -> Self {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stderr.take());
        Started(child)
    }

    /// With a standard output that nobody reads.
    pub fn unread(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        Started(command.spawn().unwrap())
    }

    /// Waits until a thread of it waits for room in a pipe.
    pub fn until_writing_hangs(&mut self) {
        let tasks = format!("/proc/{}/task", self.id());
        self.until("writing hangs", || {
            let mut tasks = std::fs::read_dir(&tasks).ok()?;
            tasks.find_map(|task| {
                // The kernel's function (proc_pid_wchan(5)).
                let waits_in = std::fs::read_to_string(task.ok()?.path().join("wchan")).ok()?;
                waits_in.contains("pipe_write").then_some(())
            })
        });
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Sends it `signal`, such as `INT`. Not for one that has been waited for.
    pub fn signal(&self, signal: &str) {
        let pid = self.0.id().to_string();
        let script = format!("kill -{signal} {pid}");
        let status = Command::new("sh").args(["-c", &script]).status().unwrap();
        assert!(status.success());
    }

    /// Sends `signal` to it and to all other processes of its group, which it must lead.
    pub fn signal_group(&self, signal: &str) {
        let script = format!("kill -{signal} -{}", self.0.id());
        let status = Command::new("sh").args(["-c", &script]).status().unwrap();
        assert!(status.success());
    }

    /// Looks about a hundred times a second until `done` gives something.
    pub fn until<T>(&mut self, what: &str, mut done: impl FnMut() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = done() {
                return found;
            }
            assert!(began.elapsed() < PATIENCE, "{what}: not after {PATIENCE:?}");
            assert!(
                self.ended().is_none(),
                "the program ended before {what}: {:?}",
                self.ended()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.0.try_wait().unwrap()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "still there after {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A directory in which an ordinary user can write, and the program and whatever else he needs in it: the build's own
/// directories may be closed to him.
pub struct OrdinaryUser {
    directory: tempfile::TempDir,
}

impl OrdinaryUser {
    pub fn new(files: &[&Path]) -> Self {
        use std::os::unix::fs::{PermissionsExt, chown};
        let directory = tempfile::tempdir().unwrap();
        let user = OrdinaryUser { directory };
        let program = Path::new(env!("CARGO_BIN_EXE_pathsurvey"));
        for file in files.iter().chain(&[program]) {
            std::fs::copy(file, user.path(file)).unwrap();
        }
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(user.directory.path(), open).unwrap();
        if is_root() {
            chown(user.directory.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        user
    }

    /// Where his copy of `file` is, or anything else of that name.
    pub fn path(&self, file: &Path) -> PathBuf {
        self.directory.path().join(file.file_name().unwrap())
    }

    /// `program` run by him, in his directory.
    pub fn command(&self, program: &Path) -> Command {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new(program);
        command
            .current_dir(self.directory.path())
            .stdin(Stdio::null());
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Our program run by him.
    pub fn pathsurvey(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(&self.path(Path::new("pathsurvey")));
        command.args(arguments);
        command
    }
}
