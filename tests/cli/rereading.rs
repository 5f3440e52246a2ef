//! SIGUSR1, which asks a survey to read its blocklists again.

use super::*;

/// The signals that a process handles, from /proc.
fn handles(process: u32, signal: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("a live process");
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = u64::from_str_radix(caught.expect("a mask").trim(), 16).expect("digits");
    caught & (1 << (signal - 1)) != 0
}

#[test]
fn sigusr1_does_not_end_a_survey_without_a_blocklist() {
    const SIGUSR1: u32 = 10;
    let place = Place::new();
    let out = place.text("out");
    let mut child = program(&survey_arguments(&["-i", "-", "-o", &out]))
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program");
    // The survey waits for its list meanwhile.
    while !handles(child.id(), SIGUSR1) {
        assert!(child.try_wait().expect("a child").is_none(), "it has ended");
        std::thread::yield_now();
    }
    let process = child.id().to_string();
    let sent = Command::new("kill").args(["-USR1", &process]).status();
    assert!(sent.expect("kill").success());
    let mut list = child.stdin.take().expect("a pipe");
    list.write_all(b"198.18.0.1\n")
        .expect("the survey reads its list");
    drop(list);
    let output = child.wait_with_output().expect("an end");
    check(&output, 0, &["survey complete"]);
}
