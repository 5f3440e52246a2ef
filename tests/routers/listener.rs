//! A host whose port is open: this program, started once more at the target.

use std::io::{BufRead, BufReader};
use std::net::{Ipv6Addr, TcpListener};
use std::process::{Child, ExitCode, Stdio};

use super::chain::Chain;

/// Names the port that this process is to listen at.
const PORT: &str = "PATHSURVEY_TEST_LISTEN";

/// What it says once it does.
const READY: &str = "listening";

/// Ends with the test.
pub struct Listener(Child);

impl Listener {
    /// Listens at `port` of the target, for both families; connections are accepted when this returns.
    pub fn start(chain: &Chain, port: u16) -> Self {
        let this = std::env::current_exe().unwrap();
        let mut command = chain.at("target", this.to_str().unwrap());
        command.env(PORT, port.to_string()).stdout(Stdio::piped());
        let mut listener = Listener(command.spawn().unwrap());
        let mut told = String::new();
        BufReader::new(listener.0.stdout.take().unwrap())
            .read_line(&mut told)
            .unwrap();
        assert_eq!(told.trim_end(), READY);
        listener
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Listens if the environment asks for that, and does not return before it is ended.
pub fn if_asked() -> Option<ExitCode> {
    let port = std::env::var(PORT).ok()?.parse().unwrap();
    // IPv4 comes in here too.
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).unwrap();
    println!("{READY}");
    for connection in listener.incoming() {
        drop(connection);
    }
    Some(ExitCode::SUCCESS)
}
