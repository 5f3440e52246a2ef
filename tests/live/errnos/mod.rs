//! Every error that the manual lists for the calls on sockets, injected into a survey by strace(1): send(2), recv(2), socket(2), bind(2),
//! setsockopt(2), raw(7), packet(7), udp(7). The table of `docs/` is that of `table`.

mod table;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use pathsurvey::lab::driver::enter_namespace;
use serde_json::Value;

use super::host::allowed;
use super::outage::network;
use super::program::{pathsurvey, run};
use crate::rows::manifest;
use crate::support::{Ignored, Outcome};

use table::Effect::{
    Again, Excused, Fails, Passes, Refused, Stays, StaysExcused, Unannounced, Unsent,
};
use table::{Effect, TABLE};

/// How often an error is injected: at one call of each thread that makes so many, or at all from there on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Once(u32),
    From(u32),
}

/// Calls that a run's own threads make many of, and other threads few.
const WELL_UNDER_WAY: u32 = 20;

/// What a survey with an injected error left.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    told: String,
    /// `None` without a dataset.
    state: Option<String>,
    not_sent: BTreeMap<String, u64>,
}

/// The network leads nowhere, so that no reply interferes with what is sent.
fn survey(transport: &str, call: &str, error: &str, when: When) -> Result<Ended, Ignored> {
    let directory = tempfile::tempdir().unwrap();
    let night = directory.path().join("night");
    // Ordinary sockets are read only if something is there: this machine answers itself.
    let targets = match (transport, call) {
        ("dgram", "recvmmsg") => "127.0.0.0/27",
        _ => "198.18.0.0/27",
    };
    let plain = pathsurvey(&["survey", "--allow-special", targets, "--rate", "2k"]);
    let when = match when {
        When::Once(at) => at.to_string(),
        When::From(at) => format!("{at}+"),
    };
    let mut command = Command::new("strace");
    command.args(["-f", "-qqq", "-o", "/dev/null", "-e"]);
    command.arg(format!("trace={call}")).arg("-e");
    command.arg(format!("inject={call}:error={error}:when={when}"));
    command.arg(plain.get_program()).args(plain.get_args());
    command.args([
        "-m",
        "12",
        "--late-window",
        "0",
        "-c",
        "0.1",
        "--transport",
        transport,
    ]);
    match transport {
        // ICMP, because raw sockets of other protocols come with ordinary ones for their ports.
        "raw" => command.args(["--protocol", "icmp", "--strategy", "sweep", "-w", "0.2"]),
        _ => command.args(["-q", "1", "--gap-limit", "12", "-w", "0.05"]),
    };
    command.arg("-o").arg(&night);
    if let Err(error) = Command::new("strace").arg("-V").output() {
        return Err(Ignored(format!("strace cannot be run: {error}")));
    }
    let (code, _, told) = run(command);
    let manifest = manifest(&night);
    let count = |entry: &Value| {
        let reason = entry["reason"].as_str().unwrap().to_owned();
        (reason, entry["probes"].as_u64().unwrap())
    };
    Ok(Ended {
        code,
        told,
        state: manifest
            .as_ref()
            .map(|it| it["state"].as_str().unwrap().to_owned()),
        not_sent: manifest.map_or_else(BTreeMap::new, |it| {
            it["run"]["not_sent"]
                .as_array()
                .unwrap()
                .iter()
                .map(count)
                .collect()
        }),
    })
}

impl Ended {
    #[track_caller]
    fn is(&self, code: i32, state: Option<&str>, not_sent: &[&str]) {
        assert!(!self.told.contains("panicked"), "{}", self.told);
        let reasons: Vec<&str> = self.not_sent.keys().map(String::as_str).collect();
        let found = (self.code, self.state.as_deref(), &reasons[..]);
        assert_eq!(found, (Some(code), state, not_sent), "{}", self.told);
    }

    #[track_caller]
    fn tells(&self, parts: &[&str]) {
        for part in parts {
            assert!(
                self.told.contains(part),
                "`{part}` is not in: {}",
                self.told
            );
        }
    }
}

/// Checks one cell of the table.
fn holds(transport: &str, (call, error): (&str, &str), effect: Effect) -> Outcome {
    let told = |when| survey(transport, call, error, when);
    let once = || told(When::Once(WELL_UNDER_WAY));
    let from_then_on = || told(When::From(WELL_UNDER_WAY));
    match effect {
        Unannounced => told(When::From(1))?.is(0, Some("complete"), &[]),
        Again => once()?.is(0, Some("complete"), &[]),
        Passes => {
            once()?.is(0, Some("complete"), &[]);
            let ended = from_then_on()?;
            ended.is(1, Some("failed"), &[]);
            ended.tells(&["cannot receive any more"]);
        }
        Unsent(reason) | Excused(reason) => {
            let ended = once()?;
            ended.is(0, Some("complete"), &[reason]);
            assert_eq!(ended.not_sent[reason], 1);
            stays(&from_then_on()?, effect, reason);
        }
        Stays(reason) | StaysExcused(reason) => {
            once()?.is(0, Some("complete"), &[]);
            stays(&from_then_on()?, effect, reason);
        }
        Fails(message) => {
            let ended = once()?;
            assert_eq!(
                (ended.code, ended.state.as_deref()),
                (Some(1), Some("failed")),
                "{}",
                ended.told
            );
            ended.tells(&[message]);
        }
        Refused(step, remedy) => {
            let ended = told(When::From(1))?;
            ended.is(1, None, &[]);
            ended.tells(&[step, remedy]);
            if remedy.is_empty() {
                // Nothing behind the kernel's words.
                assert!(ended.told.trim_end().ends_with(')'), "{}", ended.told);
            }
        }
    }
    Ok(())
}

fn stays(ended: &Ended, effect: Effect, reason: &str) {
    match effect {
        Unsent(_) | Stays(_) => {
            ended.is(4, Some("incomplete"), &[reason]);
            ended.tells(&["could not be sent (", reason]);
        }
        _ => ended.is(0, Some("complete"), &[reason]),
    }
}

/// Surveys that run at the same time, in one namespace.
const AT_ONCE: usize = 3;

/// Checks the rows of `calls` in one column of the table.
fn column(transport: &str, calls: &[&str]) -> Outcome {
    let _namespace = allowed(enter_namespace())?;
    network()?;
    let rows = Mutex::new(TABLE.iter().filter(|(call, ..)| calls.contains(call)));
    let check_rows = || -> Outcome {
        loop {
            let row = rows.lock().unwrap().next();
            let Some((call, error, raw, dgram)) = row else {
                return Ok(());
            };
            println!("{transport} {call} {error}");
            let effect = if transport == "raw" { *raw } else { *dgram };
            holds(transport, (call, error), effect)?;
        }
    };
    // The surveys mostly wait.
    std::thread::scope(|scope| {
        let workers = [(); AT_ONCE].map(|()| scope.spawn(check_rows));
        workers
            .into_iter()
            .try_for_each(|worker| match worker.join() {
                Ok(outcome) => outcome,
                Err(panic) => std::panic::resume_unwind(panic),
            })
    })
}

pub fn sending_raw() -> Outcome {
    column("raw", &["sendmmsg"])
}

pub fn sending_dgram() -> Outcome {
    column("dgram", &["sendmmsg"])
}

pub fn receiving_raw() -> Outcome {
    column("raw", &["recvmmsg"])
}

pub fn receiving_dgram() -> Outcome {
    column("dgram", &["recvmmsg"])
}

pub fn opening_raw() -> Outcome {
    column("raw", &["socket", "setsockopt", "bind"])
}

pub fn opening_dgram() -> Outcome {
    column("dgram", &["socket", "setsockopt", "bind"])
}

/// A single refusal, wherever it comes: never a panic, never a survey that is called complete without its rows, and no manifest that stays
/// `running`.
pub fn any_single_refusal() -> Outcome {
    let _namespace = allowed(enter_namespace())?;
    network()?;
    for (call, error, most) in [("socket", "EMFILE", 24), ("clone3", "EAGAIN", 12)] {
        let mut refused = 0;
        for at in 1..=most {
            println!("{call} {at}");
            // Threads of a thread are not counted with those of the first one.
            let ended = survey("raw", call, error, When::Once(at))?;
            assert!(!ended.told.contains("panicked"), "{}", ended.told);
            match ended.code {
                Some(0) => assert_eq!(ended.state.as_deref(), Some("complete")),
                Some(1) => {
                    refused += 1;
                    // Refused before the dataset was opened, or after.
                    let state = ended.state.as_deref();
                    assert!(
                        matches!(state, None | Some("failed")),
                        "{state:?}: {}",
                        ended.told
                    );
                }
                other => panic!("{other:?}: {}", ended.told),
            }
        }
        assert!(refused > 2, "{call}: {refused}");
    }
    Ok(())
}

/// The table of the documentation, line for line.
pub fn documented() -> Outcome {
    let mut table =
        "| call | error | with raw sockets | with ordinary sockets |\n|---|---|---|---|\n"
            .to_owned();
    for (call, error, raw, dgram) in TABLE {
        table += &format!(
            "| `{call}` | {error} | {} | {} |\n",
            raw.words(),
            dgram.words()
        );
    }
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let holds = std::fs::read_dir(docs).unwrap().any(|file| {
        std::fs::read_to_string(file.unwrap().path()).is_ok_and(|text| text.contains(&table))
    });
    assert!(holds, "a file of docs/ must hold this table:\n{table}");
    Ok(())
}
