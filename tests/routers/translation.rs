//! Behind a translator: the chain's first router, real Linux again, gives all that the vantage point sends another source, and puts
//! back in what it forwards to it, quotes included, what it has changed. Nothing of it shows, and nothing goes astray.

use super::chain::{Chain, Family};
use super::listener::Listener;
use super::paths::{check_links, paths_of};
use super::survey::{clean_survey, survey};
use crate::support::Outcome;
use crate::tools::installed;

/// Source ports, or identifiers.
const FLOWS: &str = "6";

pub fn restores_all(family: Family) -> Outcome {
    installed("nft", "--version", "nftables")?;
    let chain = Chain::up()?;
    chain.translate();
    let _listener = Listener::start(&chain, 80);
    let inside = family.inside().to_string();
    let mut translated = 0;
    for protocol in [&["udp"][..], &["icmp"], &["tcp", "--tcp-flags", "syn"]] {
        let options = ["--source", &inside, "--flows", FLOWS, "--protocol"];
        let rows = clean_survey(&chain, family.target(), &[&options[..], protocol].concat());
        let paths = paths_of(&rows);
        assert_eq!(paths.len().to_string(), FLOWS, "{protocol:?}");
        check_links(&paths, family);
        for row in &rows {
            assert_eq!(row.source, Some(family.inside()), "{row:?}");
            let quoted = row.quoted_source;
            assert!(
                quoted.is_none_or(|quoted| quoted == family.inside()),
                "{row:?}"
            );
        }
        let until_now = chain.translated(family);
        assert!(until_now > translated, "{protocol:?} went untranslated");
        translated = until_now;
    }
    drops_are_silence(&chain, family);
    Ok(())
}

/// Segments whose numbers do not fit the connection that the translator remembers are not translated, and answers to them find no
/// way back: silence, and no hop in the wrong place.
fn drops_are_silence(chain: &Chain, family: Family) {
    let inside = family.inside().to_string();
    let options = [
        "--source",
        &inside,
        "--protocol",
        "tcp",
        "--tcp-flags",
        "ack",
        "--flows",
        FLOWS,
        "--max-ttl",
        "6",
        "--attempts",
        "1",
        "--timeout",
        "1",
    ];
    let rows = survey(chain, family.target(), &options);
    let tiers = family.tiers();
    let mut answered = 0;
    for row in &rows {
        match row.responder {
            None => assert_eq!(row.status, "timeout", "{row:?}"),
            Some(responder) => {
                let ttl = usize::from(row.ttl.expect("a TTL"));
                assert!(tiers[ttl - 1].contains(&responder), "{row:?}");
                assert_eq!(row.evidence.as_deref(), Some("full"), "{row:?}");
                answered += 1;
            }
        }
    }
    assert!(answered > 0 && answered < rows.len(), "{rows:#?}");
}
