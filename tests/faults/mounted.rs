//! Single files that a container mounts by themselves.

use std::fs;
use std::process::Command;

use super::program::{Place, check, survey};
use crate::support::Outcome;

/// A file that is a mount point cannot be replaced. This is told before the first probe, and what is there stays.
pub fn file() -> Outcome {
    let place = Place::new()?;
    let (there, mounted) = (place.text("there"), place.text("out.csv"));
    fs::write(&there, "of another run\n").expect("a file");
    fs::write(&mounted, "").expect("a file");
    let program = survey("1", &mounted);
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c"]);
    command.arg("mount --bind \"$0\" \"$1\" && shift && exec \"$@\"");
    command.args([&there, &mounted]).arg(program.get_program());
    command.args(program.get_args());
    let output = command.output().expect("unshare");
    let parts = [
        "out.csv is a file that is mounted by itself",
        "mount its directory instead",
    ];
    check(&output, 1, &parts);
    assert_eq!(
        fs::read_to_string(&there).expect("a file"),
        "of another run\n"
    );
    assert_eq!(place.names(""), ["out.csv", "there"]);
    Ok(())
}
