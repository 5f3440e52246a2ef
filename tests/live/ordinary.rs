//! What an ordinary user can do, and what he is told where he cannot.

use std::path::Path;

use pathsurvey::lab::driver::enter_user_namespace;

use super::host::allowed;
use super::lab::repository;
use super::program::{OrdinaryUser, pathsurvey, run};
use crate::rows::Dataset;
use crate::support::{Ignored, Outcome};

/// The README's command.
pub fn lab_survey() -> Outcome {
    let list = repository().join("sample-targets/lab.csv");
    let user = OrdinaryUser::new(&[&list]);
    // Asked of another program: ours must not be the judge of whether it should have worked.
    let mut unshare = user.command(Path::new("unshare"));
    unshare.args(["--user", "--map-root-user", "--net", "true"]);
    let (code, _, why) = run(unshare);
    if code != Some(0) {
        return Err(Ignored(format!(
            "user namespaces are refused: {}",
            why.trim()
        )));
    }
    let (code, out, told) =
        run(user.pathsurvey(&["survey", "--lab", "-i", "lab.csv", "-o", "nightly"]));
    assert_eq!((code, out.as_str()), (Some(0), ""), "{told}");
    assert!(
        told.contains("survey complete") && told.contains("6,144"),
        "{told}"
    );
    let dataset = Dataset::read(&user.path(Path::new("nightly")));
    assert_eq!(dataset.manifest["state"], "complete");
    assert_eq!(dataset.traces.len(), 6_144);
    super::account::counts_agree(&dataset);
    Ok(())
}

/// The error as one sentence on a line of its own, and nothing else.
fn one_sentence(told: &str) -> &str {
    assert_eq!(told.trim_end().lines().count(), 1, "{told}");
    told.trim_end()
}

/// Nothing can be sent as asked: the sockets that could are refused.
pub fn without_privilege() -> Outcome {
    let user = OrdinaryUser::new(&[]);
    // Insisting on raw sockets, and what only they can do.
    for options in [["--transport", "raw"], ["--protocol", "tcp"]] {
        let arguments = ["survey", "--allow-special", "127.0.0.1", "-o", "out"];
        let mut command = user.pathsurvey(&arguments);
        command.args(options);
        let (code, out, told) = run(command);
        assert_eq!((code, out.as_str()), (Some(1), ""), "{told}");
        let told = one_sentence(&told);
        let remedy = format!(
            "sudo setcap cap_net_raw+p {}",
            user.path(Path::new("pathsurvey")).display()
        );
        assert!(told.contains(&remedy) && told.contains("--lab"), "{told}");
        assert!(!user.path(Path::new("out")).exists());
    }
    Ok(())
}

/// In a user namespace of ours whose limits allow no further namespace.
pub fn without_namespaces() -> Outcome {
    let _namespace = allowed(enter_user_namespace())?;
    for limit in ["max_user_namespaces", "max_net_namespaces"] {
        std::fs::write(format!("/proc/sys/user/{limit}"), "0")
            .map_err(|error| Ignored(format!("/proc/sys cannot be written: {error}")))?;
    }
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("out");
    let output = output.to_str().unwrap();
    for arguments in [
        &["survey", "--lab", "198.18.0.1", "-o", output][..],
        &["lab", "exec", "--", "true"],
    ] {
        let (code, out, told) = run(pathsurvey(arguments));
        assert_eq!((code, out.as_str()), (Some(1), ""), "{told}");
        let told = one_sentence(&told);
        assert!(
            told.contains("namespace") && told.contains("sysctl user.max_"),
            "{told}"
        );
        assert_eq!(
            arguments[0] == "survey",
            told.contains("--virtual-time"),
            "{told}"
        );
    }
    assert!(!Path::new(output).exists());
    Ok(())
}
