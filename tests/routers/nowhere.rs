//! To targets behind a route that leads nowhere: survey, traceroute and scamper see the same routers answer, and then the same
//! error or the same silence.

use super::chain::{Chain, Family};
use super::others::{scamper, traceroute};
use super::paths::{Path, paths_of};
use super::survey::{Row, survey};
use crate::support::{Ignored, Outcome};
use crate::tools::{scamper_installed, traceroute_installed};

/// Datagrams to the port that surveys send to.
const TRACEROUTE: [&str; 3] = ["-U", "-p", "33434"];
const SCAMPER: &str = "udp-paris -d 33434";

/// The routers that answer before the last one decides.
const ROUTERS: usize = 4;

pub fn unreachable(family: Family) -> Outcome {
    traceroute_installed()?;
    scamper_installed()?;
    let target = family.unreachable();
    let rows = survey(&fresh()?, target, &[]);
    let kind = match family {
        Family::V4 => "host_unreachable",
        Family::V6 => "network_unreachable",
    };
    let from_last = |row: &&Row| row.responder == Some(family.last_router());
    assert!(rows.iter().all(|row| row.status == "replied"), "{rows:#?}");
    for row in rows.iter().filter(from_last) {
        assert_eq!(row.reply_kind.as_deref(), Some(kind), "{row:#?}");
    }
    let (port, path) = the_path(&rows, family);
    assert_eq!(path[ROUTERS..], [Some(family.last_router())]);
    // A router that has no route sends a few such errors to the same host, then one a second: a new one for each program.
    assert_eq!(path, traceroute(&fresh()?, &TRACEROUTE, port, target));
    assert_eq!(path, scamper(&fresh()?, SCAMPER, port, target));
    Ok(())
}

pub fn silent(family: Family) -> Outcome {
    traceroute_installed()?;
    scamper_installed()?;
    let target = family.silent();
    let chain = fresh()?;
    let rows = survey(&chain, target, &["--attempts", "1"]);
    for row in &rows {
        let expected = match row.responder {
            Some(_) => "replied",
            None => "timeout",
        };
        assert_eq!(row.status, expected, "{row:#?}");
    }
    let (port, path) = the_path(&rows, family);
    // Up to the gap limit.
    assert_eq!(path[ROUTERS..], [None; 5]);
    // The others need not go as far, for they wait at every step.
    let cut = &path[..ROUTERS + 2];
    let last = ["-m", &cut.len().to_string(), "-w", "3"];
    let method = [&TRACEROUTE[..], &last].concat();
    assert_eq!(cut, traceroute(&chain, &method, port, target));
    let method = format!("{SCAMPER} -q 1 {}", last.join(" "));
    assert_eq!(cut, scamper(&chain, &method, port, target));
    Ok(())
}

/// A chain that has sent nothing yet. Its balancers hash packets, for traceroute's sake: it connects a socket for each probe.
fn fresh() -> Result<Chain, Ignored> {
    let chain = Chain::up()?;
    chain.hash_packets_only();
    Ok(chain)
}

/// The only path of a survey, and its source port; it begins with routers of the chain.
fn the_path(rows: &[Row], family: Family) -> (u16, Path) {
    let paths: Vec<(u16, Path)> = paths_of(rows).into_iter().collect();
    let [(port, path)] = &paths[..] else {
        panic!("not one path but {paths:?}");
    };
    assert!(path.len() > ROUTERS, "{path:?}");
    for (responder, tier) in path.iter().zip(&family.tiers()[..ROUTERS]) {
        let known = responder.is_some_and(|address| tier.contains(&address));
        assert!(known, "{responder:?} is not of {tier:?}: {path:?}");
    }
    (*port, path.clone())
}
