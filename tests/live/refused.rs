//! Destinations that our own kernel refuses.

use std::net::Ipv4Addr;

use pathsurvey::lab::driver::RouteKind;

use super::account::{account, counts_agree};
use super::host::World;
use super::lab::network;
use super::program::run;
use super::truth::{all_alike, ending};
use crate::rows::Dataset;
use crate::support::Outcome;

/// Third byte of the destination, the route that refuses it, and what the rows call that.
const REFUSED: [(u8, RouteKind, &str); 4] = [
    (1, RouteKind::Missing, "no_route"),
    (2, RouteKind::Unreachable, "host_unreachable"),
    (3, RouteKind::Prohibit, "prohibited"),
    (4, RouteKind::Blackhole, "invalid"),
];

pub fn send_errors() -> Outcome {
    let clean = network("clean.toml");
    let world = World::start(&clean)?;
    for (block, kind, _) in REFUSED {
        let prefix = Ipv4Addr::new(198, 18, block, 0);
        world
            .namespace
            .add_refusing_route(prefix, 24, kind)
            .unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    let night = directory.path().join("night");
    let targets = [
        "198.18.0.0/28",
        "198.18.1.0/28",
        "198.18.2.0/28",
        "198.18.3.0/28",
        "198.18.4.0/28",
        "-c",
        "0",
    ];
    let (code, _, told) = run(world.survey(&night, &targets));
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("64 not sent"), "{told}");
    // Others were sent, so that not the whole family is advised against.
    for why in [
        "no route to these IPv4 targets",
        "IPv4 targets that a route calls unreachable",
        "IPv4 targets that a route prohibits",
        "IPv4 targets that the kernel refuses",
    ] {
        let line = format!("  not sent     16, {why}");
        assert!(told.contains(&line), "`{line}` is not in:\n{told}");
    }
    let (log, _) = world.stop();
    let dataset = Dataset::read(&night);
    counts_agree(&dataset);
    // Those whose packets left are as ever, and nothing left for the others.
    assert_eq!(account(&dataset, &log).len(), 16 * 6);
    let reached = ("completed", true, Some(5));
    let shape = "1:r 2:r 3:r 4:r 5:r d:r";
    // The list above has its targets at distance 5: four routers and themselves.
    assert_eq!(all_alike(&dataset, [198, 18, 0], shape, reached), 16);
    for (block, _, reason) in REFUSED {
        let error = ("error", false, None);
        assert_eq!(all_alike(&dataset, [198, 18, block], "d:e", error), 16);
        for row in dataset
            .hops
            .iter()
            .filter(|row| row.destination.octets()[2] == block)
        {
            assert_eq!(row.reason.as_deref(), Some(reason));
            assert_eq!((row.sent_at, &row.reply), (None, &None), "{row:?}");
        }
    }
    assert_eq!(dataset.count("/probes/sent"), 16 * 6);
    assert_eq!(dataset.count("/probes/total"), 16 * 6 + 64);
    let errors = dataset
        .traces
        .iter()
        .filter(|trace| ending(trace).0 == "error");
    assert!(errors.into_iter().all(|trace| trace.probes_sent == 0));
    Ok(())
}
