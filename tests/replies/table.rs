//! What becomes of a reply whose probe was rewritten on the way, for each protocol, family, size of the quote and pair of
//! rewritings.

use pathsurvey::model::{DiscardReason, Evidence, Protocol, Vary};

use crate::packets::{self, Extension, Quote};
use crate::rewriting::{ALL, Rewriting};
use crate::world::{KINDS, Kind, World};

/// Quotes that reach no further than the 8 transport bytes that routers return at least; and those that hold all.
const SHORT: [Quote; 1] = [Quote::Head(8)];
const LONG: [Quote; 3] = [
    Quote::Whole,
    Quote::Padded(Extension::Announced),
    Quote::Padded(Extension::Legacy),
];

/// How a cell of the table is written.
fn letter(result: Result<Evidence, DiscardReason>) -> char {
    match result {
        Ok(Evidence::Full) => 'F',
        Ok(Evidence::Rewritten) => 'R',
        Ok(Evidence::Weak) => 'w',
        Err(DiscardReason::Forged) => 'x',
        Err(DiscardReason::Unknown) => 'u',
        Err(DiscardReason::Foreign) => 'f',
        Err(other) => panic!("{other:?} was not expected of any"),
    }
}

/// The outcome for some probes, which must be the same for all, and right.
fn outcome(world: &World, quotes: &[Quote], rewritings: [Rewriting; 2]) -> char {
    if rewritings == [Rewriting::Destination, Rewriting::LiveDestination] {
        return '.';
    }
    let mut letters = Vec::new();
    for number in (0..world.packets.len()).step_by(97) {
        let mut probe = world.packets[number].clone();
        for (place, rewriting) in rewritings.into_iter().enumerate() {
            // The diagonal of the table: one rewriting alone.
            if place == 0 || rewritings[0] != rewriting {
                rewriting.apply(world.kind, &mut probe, (number * 40_503) as u16);
            }
        }
        for quote in quotes {
            let responder = world.kind.target(200 + number as u32 % 16);
            let packet = packets::error(world.kind, &probe, *quote, number % 2 == 1, responder);
            let (_, finding) = world.receive(&packet).expect("an answer");
            if let Ok(found) = finding.result {
                // One secret may not tell two attempts apart: the low byte of an echo request's sequence number is 8 bits.
                let is_right = found.probe.0 == number as u64
                    || found.evidence == Evidence::Weak
                        && found.probe.0 == world.other_attempt(number) as u64;
                assert!(
                    is_right && found.hop_known,
                    "{rewritings:?} {quote:?}: {found:?}"
                );
            }
            letters.push(letter(finding.result.map(|found| found.evidence)));
        }
    }
    assert!(
        letters.iter().all(|letter| *letter == letters[0]),
        "{} {quotes:?} {rewritings:?}: {letters:?}",
        world.kind.name
    );
    letters[0]
}

/// One block of the table: rows and columns are the rewritings, the diagonal each alone.
fn block(world: &World, quotes: &[Quote]) -> String {
    let mut text = String::new();
    for (row, first) in ALL.into_iter().enumerate() {
        text += &" ".repeat(row);
        text.extend(
            ALL[row..]
                .iter()
                .map(|second| outcome(world, quotes, [first, *second])),
        );
        text.push('\n');
    }
    text
}

/// Letters: F full, R rewritten, w weak, x forged, u unknown, f foreign (`.`: both rewritings are of one field). Rows and columns:
/// source address, source port or identifier, destination not probed, destination probed, destination port, IP ID or
/// flow label, check, class and TTL, length.
const UDP4_SHORT: &str = "
RRuxuxwRR
 RfffffRR
  R.RuuRR
   xRxxxx
    RuuRR
     wxww
      www
       FF
        F
";

/// No serial comes back of an IPv6 probe: one secret is left, and nothing that could prove a change.
const UDP6_SHORT: &str = "
xfuxuxxxx
 ffffffff
  u.uuuuu
   xuxxxx
    uuuuu
     wxww
      xxx
       ww
        w
";

/// The tag decides.
const UDP_LONG: &str = "
FRRRRFFFF
 RRRRRRRR
  R.RRRRR
   RRRRRR
    RRRRR
     FFFF
      FFF
       FF
        F
";

/// The checksum covers no addresses, and there is no destination port to rewrite.
const ECHO4_SHORT: &str = "
FRuxFwwFF
 RffRffRR
  R.RuuRR
   xxxxxx
    FwwFF
     wxww
      www
       FF
        F
";

const ECHO6_SHORT: &str = "
xfuxxxxxx
 ffffffff
  u.uuuuu
   xxxxxx
    wwxww
     wxww
      xxx
       ww
        w
";

const ECHO_LONG: &str = "
FRRRFFFFF
 RRRRRRRR
  R.RRRRR
   RRRRRR
    FFFFF
     FFFF
      FFF
       FF
        F
";

/// The sequence number, which the shortest quote shows, is both secrets and covers no addresses. A longer quote adds nothing.
const TCP4: &str = "
FRuxuFwFF
 RfffRfRR
  R.RRuRR
   xRxxxx
    RRuRR
     FxFF
      www
       FF
        F
";

/// As TCP over IPv4, but no IP ID is left where the sequence number was rewritten.
const TCP6: &str = "
FRuxuFxFF
 RfffRfRR
  R.RRuRR
   xRxxxx
    RRuRR
     FxFF
      xxx
       FF
        F
";

fn expected(kind: Kind, is_short: bool) -> &'static str {
    match (kind.protocol, kind.v6, is_short) {
        (Protocol::Udp, false, true) => UDP4_SHORT,
        (Protocol::Udp, true, true) => UDP6_SHORT,
        (Protocol::Udp, _, false) => UDP_LONG,
        (Protocol::Icmp, false, true) => ECHO4_SHORT,
        (Protocol::Icmp, true, true) => ECHO6_SHORT,
        (Protocol::Icmp, _, false) => ECHO_LONG,
        (Protocol::Tcp, false, _) => TCP4,
        (Protocol::Tcp, true, _) => TCP6,
    }
}

/// A block without the reasons of what is not matched.
fn without_reasons(block: &str) -> String {
    block.replace(['x', 'u', 'f'], "-")
}

/// The cells of a block: the numbers of the two rewritings, and the letter.
fn cells(block: &str) -> impl Iterator<Item = (usize, usize, char)> {
    let rows = block.lines().enumerate();
    rows.flat_map(|(row, line)| {
        let cells = line.chars().enumerate();
        cells.map(move |(column, letter)| (row, column, letter))
    })
}

/// Whether a cell is right if flows differ in the flow label or the checksum. `like` is the cell if they differ in the source port.
///
/// - A changed label or checksum is an open fact that changed: no evidence is full. With a second change nothing may be left.
/// - A checksum that says which flow it is proves nothing else.
/// - At another target, label and checksum are those of no flow. So the probe is found by its secrets where another flow's probe would be in
///   the way.
fn fits(kind: Kind, like: (usize, usize, char), cell: (usize, usize, char)) -> bool {
    let ((row, column, like), (.., cell)) = (like, cell);
    let field = match kind.vary {
        Vary::IcmpChecksum => Rewriting::Check,
        _ => Rewriting::IpId,
    };
    let is_field = |place: usize| ALL.get(place) == Some(&field);
    match like {
        '.' | ' ' => cell == like,
        'F' if is_field(row) && is_field(column) => cell == 'R',
        _ if is_field(row) || is_field(column) => "Rxuf".contains(cell),
        'w' if kind.vary == Vary::IcmpChecksum => "xuf".contains(cell),
        // Boxes adjust the checksum to what else they change.
        'F' if kind.vary == Vary::IcmpChecksum => "FR".contains(cell),
        'F' | 'R' | 'w' => cell == like,
        _ => "Rxuf".contains(cell),
    }
}

#[test]
fn every_pair_of_rewritings_has_its_evidence_or_its_reason() {
    for kind in KINDS {
        let world = World::new(kind);
        for (quotes, is_short) in [(&SHORT[..], true), (&LONG, false)] {
            let (found, expected) = (block(&world, quotes), expected(kind, is_short).trim_start());
            let text = format!("{} {quotes:?}", kind.name);
            match kind.vary {
                Vary::SourcePort => assert_eq!(found, expected, "{text}"),
                // Another port may be that of another flow, or of none: the reason differs.
                Vary::DestPort => {
                    assert_eq!(without_reasons(&found), without_reasons(expected), "{text}");
                }
                Vary::FlowLabel | Vary::IcmpChecksum => {
                    let mut pairs = cells(expected).zip(cells(&found));
                    assert!(
                        pairs.all(|(like, cell)| fits(kind, like, cell)),
                        "{text}: {found}"
                    );
                }
            }
        }
    }
}
