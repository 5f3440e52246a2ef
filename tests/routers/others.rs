//! The paths that other people's programs find, at the chain's vantage point.

use std::net::IpAddr;
use std::process::Command;

use super::chain::Chain;
use super::paths::Path;
use crate::tools::hops;

/// traceroute's path for the flow with this source port (or identifier); `method` are its other options.
pub fn traceroute(chain: &Chain, method: &[&str], source: u16, target: IpAddr) -> Path {
    let mut command = chain.at_vantage("traceroute");
    command
        .args(["-n", "-q1"])
        .args(method)
        .arg(format!("--sport={source}"))
        .arg(target.to_string());
    printed_path(command)
}

/// scamper's path for the flow with this source port (or identifier); `method` is that of its `trace`, and other options.
pub fn scamper(chain: &Chain, method: &str, source: u16, target: IpAddr) -> Path {
    let mut command = chain.at_vantage("scamper");
    command
        .args(["-p", "1000", "-I"])
        .arg(format!("trace -P {method} -s {source} {target}"));
    printed_path(command)
}

fn printed_path(mut command: Command) -> Path {
    let output = command.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {printed}{told}");
    let mut path = Path::new();
    for (ttl, responder) in hops(&printed) {
        assert_eq!(usize::from(ttl), path.len() + 1, "{command:?}: {printed}");
        path.push(responder);
    }
    path
}
