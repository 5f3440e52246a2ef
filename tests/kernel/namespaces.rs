//! Entering namespaces and running programs inside.

use std::ffi::{OsStr, OsString};
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::mpsc;

use pathsurvey::lab::driver::{
    Isolation, LabHost, Namespace, NamespaceError, enter_namespace, enter_user_namespace,
    exec_in_lab,
};
use pathsurvey::lab::{Delivery, Respond};
use pathsurvey::model::{Protocol, Rate, Time};
use pathsurvey::transport::{
    self, AddressFamilies, Origin, Transport, TransportChoice, TransportOptions,
};

use crate::support::{Ignored, Outcome};

/// Our address in the namespaces of these tests (TEST-NET-1).
pub const VANTAGE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);

/// What was entered or started; a refusal for want of a privilege leaves the case out, anything else fails it.
pub fn allowed<T>(result: Result<T, NamespaceError>) -> Result<T, Ignored> {
    match result {
        Err(error) if error.is_refusal() => Err(Ignored(error.to_string())),
        other => Ok(other.unwrap()),
    }
}

/// Opens ordinary sockets in the current namespace.
pub fn open_dgram(protocol: Protocol, source_port: u16, flows: u16) -> Transport {
    let options = TransportOptions {
        choice: TransportChoice::Dgram,
        protocol,
        families: AddressFamilies {
            ipv4: true,
            ipv6: true,
        },
        source_port,
        flows,
        origin: Origin::default(),
        rate: Rate::THOUSAND,
    };
    transport::open(&options).unwrap()
}

/// A network in which nobody answers.
struct Silence;

impl Respond for Silence {
    fn respond(&mut self, _: &[u8], _: Time, _: &mut Vec<Delivery>) {}
}

pub fn as_root() -> Outcome {
    let before = network_namespace();
    let namespace = allowed(enter_namespace())?;
    assert_ne!(network_namespace(), before);
    assert_eq!(namespace.isolation(), Isolation::Network);
    check_inside(&namespace);
    Ok(())
}

pub fn as_ordinary_user() -> Outcome {
    let before = network_namespace();
    let namespace = allowed(enter_namespace())?;
    assert_ne!(network_namespace(), before);
    assert_eq!(namespace.isolation(), Isolation::UserAndNetwork);
    check_inside(&namespace);
    Ok(())
}

/// Only loopback is there, it works, and the lab can be started once.
fn check_inside(namespace: &Namespace) {
    let devices = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let names: Vec<_> = devices
        .lines()
        .filter_map(|line| Some(line.split_once(':')?.0.trim()))
        .collect();
    assert_eq!(names, ["lo"]);
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let here = socket.local_addr().unwrap();
    assert_eq!(socket.send_to(b"x", here).unwrap(), 1);
    let host = LabHost::start(namespace, Box::new(Silence), VANTAGE).unwrap();
    assert!(LabHost::start(namespace, Box::new(Silence), VANTAGE).is_err());
    let counts = host.stop().unwrap();
    assert_eq!((counts.read, counts.delivered), (0, 0));
    assert_eq!(counts.device_dropped, Some(0));
}

fn network_namespace() -> std::path::PathBuf {
    std::fs::read_link("/proc/thread-self/ns/net").unwrap()
}

pub fn with_threads() -> Outcome {
    let (end, ended) = mpsc::channel::<()>();
    let second = std::thread::spawn(move || ended.recv().is_err());
    let error = enter_user_namespace().unwrap_err();
    assert!(
        matches!(error, NamespaceError::Threads { threads: 2 }),
        "{error}"
    );
    drop(end);
    assert!(second.join().unwrap());
    Ok(())
}

pub fn none_left() -> Outcome {
    let _namespace = allowed(enter_user_namespace())?;
    // The limit of our own new user namespace, on what may be made inside it.
    std::fs::write("/proc/sys/user/max_user_namespaces", "0")
        .map_err(|error| Ignored(format!("/proc/sys cannot be written: {error}")))?;
    let error = enter_user_namespace().unwrap_err();
    assert!(error.is_refusal());
    let text = error.to_string();
    for part in ["unshare", "os error 28", "sysctl user.max_user_namespaces"] {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
    Ok(())
}

fn shell(namespace: &Namespace, script: &str) -> i32 {
    let arguments = [OsString::from("-c"), OsString::from(script)];
    exec_in_lab(namespace, OsStr::new("sh"), &arguments).unwrap()
}

pub fn program() -> Outcome {
    let namespace = allowed(enter_namespace())?;
    assert_eq!(shell(&namespace, "exit 7"), 7);
    assert_eq!(shell(&namespace, "kill -KILL $$"), 128 + 9);
    // Root inside, whoever we are outside, and in our namespace.
    assert_eq!(shell(&namespace, "test $(id -u) = 0"), 0);
    let script = format!(
        "test $(readlink /proc/self/ns/net) = '{}'",
        network_namespace().display()
    );
    assert_eq!(shell(&namespace, &script), 0);
    let missing = exec_in_lab(&namespace, OsStr::new("/no/such/program"), &[]).unwrap_err();
    assert_eq!(missing.exit_code(), 127);
    assert!(missing.to_string().contains("/no/such/program"));
    Ok(())
}

pub fn signals() -> Outcome {
    let namespace = allowed(enter_namespace())?;
    let us = std::process::id();
    // The program signals us alone, and ends when that comes back to it.
    for (name, number) in [("TERM", 15), ("INT", 2)] {
        let script =
            format!("trap 'exit 40' {name}; kill -{name} {us}; while :; do sleep 0.01; done");
        assert_eq!(shell(&namespace, &script), 40, "SIG{name}");
        let script = format!("kill -{name} {us}; exec sleep 30");
        assert_eq!(shell(&namespace, &script), 128 + number, "SIG{name}");
    }
    // We are still alive to start another.
    assert!(Command::new("true").status().unwrap().success());
    Ok(())
}
