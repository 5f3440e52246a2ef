//! Host names on the command line and in lists, resolved by a DNS server in the test's own namespace.

use std::path::Path;
use std::process::Command;

use hickory_resolver::proto::op::ResponseCode;
use serde_json::Value;

use super::host::World;
use super::lab::{network, repository};
use super::neighbours::ip;
use super::program::{pathsurvey, run};
use crate::dns::{DnsServer, Reply};
use crate::rows::{columns, manifest};
use crate::support::Outcome;

/// Destinations and what they were asked for as, in rising order.
fn inputs(output: &Path) -> Vec<(String, String)> {
    let manifest = manifest(output).unwrap();
    let rows = columns(
        output,
        &manifest,
        "traces",
        &["destination", "target_input"],
    );
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let inputs = rows.iter();
    let mut inputs: Vec<_> = inputs
        .map(|row| (text(&row["destination"]), text(&row["target_input"])))
        .collect();
    inputs.sort();
    inputs
}

/// The program asks the server it is told to, reports what failed, and keeps the names in the dataset.
pub fn by_a_server() -> Outcome {
    let world = World::start(&network("clean.toml"))?;
    let server = DnsServer::start(|name| match name {
        "two.example" => Reply::of(&["198.18.0.2", "198.18.0.1", "2a00::1"]),
        "alias.example" => Reply::alias("end.example", &["198.18.0.3"]),
        _ => Reply::Code(ResponseCode::NXDomain),
    });
    let place = tempfile::tempdir().unwrap();
    let list = place.path().join("list.txt");
    std::fs::write(&list, "two.example\nabsent.example\nalias.example\n").unwrap();
    let resolver = server.address.to_string();
    let survey = |output: &Path, options: &[&str]| {
        let mut command = world.survey(output, &["--resolver", &resolver, "-i"]);
        command.arg(&list).args(options);
        run(command)
    };
    let pair = |address: &str, name: &str| (address.to_owned(), name.to_owned());
    let one = place.path().join("one");
    let (code, _, told) = survey(&one, &[]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("list.txt:2: `absent.example`"), "{told}");
    assert!(told.contains("NXDOMAIN"), "{told}");
    let expected = [
        pair("198.18.0.1", "two.example"),
        pair("198.18.0.3", "alias.example"),
    ];
    assert_eq!(inputs(&one), expected);
    let manifest = manifest(&one).unwrap();
    assert_eq!(manifest["targets"]["names"], 2);
    assert_eq!(manifest["targets"]["unresolved"], 1);
    assert_eq!(manifest["config"]["targets"]["resolvers"][0], resolver);
    let all = place.path().join("all");
    let (code, _, told) = survey(&all, &["--resolve-targets", "both"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(inputs(&all).contains(&pair("198.18.0.2", "two.example")));
    let strict = place.path().join("strict");
    let (code, _, told) = survey(&strict, &["--strict"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("list.txt:2: `absent.example`"), "{told}");
    assert!(!strict.exists(), "nothing was probed, nothing is written");
    world.stop();
    Ok(())
}

/// A server with a link-local address is asked over UDP and TCP, through the interface that its zone names.
pub fn by_a_server_in_a_zone() -> Outcome {
    let world = World::start(&network("clean.toml"))?;
    ip(&[
        "link add zone0 type veth peer name zone1",
        "link set zone1 addrgenmode none up",
        "link set zone0 addrgenmode none up",
        "addr add fe80::53/64 dev zone0 nodad",
        "addr add fe80::54/64 dev zone1 nodad",
    ])?;
    let mut shown = Command::new("ip");
    let shown = shown.args(["-o", "link", "show", "zone0"]).output();
    let shown = String::from_utf8(shown.unwrap().stdout).unwrap();
    let index: u32 = shown.split(':').next().unwrap().parse().unwrap();
    let address = "fe80::53".parse().unwrap();
    let server = DnsServer::start_at(address, index, |name| match name {
        "two.example" => Reply::of(&["198.18.0.2"]),
        _ => Reply::cut_off(&[], &["198.18.0.3"]),
    });
    let port = server.address.port();
    let place = tempfile::tempdir().unwrap();
    for zone in ["zone0".to_owned(), index.to_string()] {
        let out = place.path().join(&zone);
        let resolver = format!("[fe80::53%{zone}]:{port}");
        let names = ["two.example", "long.example"];
        let mut command = world.survey(&out, &["--resolver", &resolver]);
        command.args(names);
        let (code, _, told) = run(command);
        assert_eq!(code, Some(0), "{told}");
        let pair = |address: &str, name: &str| (address.to_owned(), name.to_owned());
        let expected = [
            pair("198.18.0.2", "two.example"),
            pair("198.18.0.3", "long.example"),
        ];
        assert_eq!(inputs(&out), expected);
    }
    let out = place.path().join("out");
    let mut command = world.survey(&out, &["--resolver", "fe80::53%eth77"]);
    command.arg("two.example");
    let (code, _, told) = run(command);
    assert_eq!(code, Some(2), "{told}");
    assert!(
        told.contains("there is no interface `eth77`: this host has "),
        "{told}"
    );
    assert!(told.contains(" lo, ") && told.contains("zone0"), "{told}");
    drop(server);
    world.stop();
    Ok(())
}

/// With `--lab` nobody is asked without `--resolver`, and with it nobody outside of the lab's namespace.
pub fn in_the_lab() -> Outcome {
    // The test's own namespace, where a server would answer: the program enters another.
    let world = World::start(&network("clean.toml"))?;
    let server = DnsServer::start(|_| Reply::of(&["198.18.0.1"]));
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out");
    let survey = |options: &[&str]| {
        let mut command = pathsurvey(&["survey", "--lab", "host.example", "-o"]);
        command.current_dir(repository()).arg(&out).args(options);
        run(command)
    };
    let (code, _, told) = survey(&[]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("the lab has no DNS server"), "{told}");
    let (code, _, told) = survey(&["--resolver", &server.address.to_string()]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("argument `host.example`"), "{told}");
    assert!(server.asked().is_empty(), "{:?}", server.asked());
    world.stop();
    Ok(())
}
