//! Boxes by what they do, and what is left to know a probe by: reckoned from what each box does, by the rules of evidence.

use std::collections::BTreeSet;

use pathsurvey::model::{DiscardReason, Evidence, Protocol};

/// What an address translator or port rewriter may change, each once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    Source,
    FlowNumber,
    Destination,
    DestinationPort,
}
use Field::{Destination, DestinationPort, FlowNumber, Source};

/// What is known of a quote on its way back.
#[derive(Clone, Debug, Default)]
pub(super) struct Quote {
    /// Fields that are not as sent.
    changed: BTreeSet<Field>,
    /// Those whose change the checksum holds.
    in_checksum: BTreeSet<Field>,
    ip_id_changed: bool,
    checksum_lost: bool,
}

/// One thing that a box does: its keys in the network file, and what it does to a quote.
#[derive(Clone, Copy, Debug)]
pub(super) struct Box_ {
    pub(super) keys: &'static str,
    /// Two of a kind are never put in a row.
    pub(super) kind: u8,
    pub(super) changes: &'static [Field],
    pub(super) restores: Restores,
    pub(super) ip_id: bool,
    pub(super) checksum: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Restores {
    All,
    AllButChecksum,
    Addresses,
    Nothing,
}

const fn translator(
    keys: &'static str,
    kind: u8,
    changes: &'static [Field],
    restores: Restores,
) -> Box_ {
    Box_ {
        keys,
        kind,
        changes,
        restores,
        ip_id: false,
        checksum: false,
    }
}

const fn other(keys: &'static str, kind: u8, ip_id: bool, checksum: bool) -> Box_ {
    Box_ {
        ip_id,
        checksum,
        ..translator(keys, kind, &[], Restores::Nothing)
    }
}

macro_rules! nat {
    ($more:literal) => {
        concat!(
            r#"nat = { public = "203.0.113.7", public6 = "2001:db8:ffff::7", "#,
            $more,
            " }"
        )
    };
}

/// `FROM` and `TO` stand for prefixes of either family.
pub(super) const BOXES: [Box_; 17] = [
    translator(nat!(r#"restore = "full""#), 1, &[Source], Restores::All),
    translator(
        nat!(r#"restore = "address_only""#),
        1,
        &[Source],
        Restores::Addresses,
    ),
    translator(nat!(r#"restore = "none""#), 1, &[Source], Restores::Nothing),
    translator(
        nat!(r#"ports = true, restore = "full""#),
        1,
        &[Source, FlowNumber],
        Restores::All,
    ),
    translator(
        nat!(r#"ports = true, restore = "all_but_checksum""#),
        1,
        &[Source, FlowNumber],
        Restores::AllButChecksum,
    ),
    translator(
        nat!(r#"ports = true, restore = "address_only""#),
        1,
        &[Source, FlowNumber],
        Restores::Addresses,
    ),
    translator(
        nat!(r#"ports = true, restore = "none""#),
        1,
        &[Source, FlowNumber],
        Restores::Nothing,
    ),
    translator(
        r#"rewrite = { from = "FROM", to = "TO", restore = "full" }"#,
        2,
        &[Destination],
        Restores::All,
    ),
    translator(
        r#"rewrite = { from = "FROM", to = "TO" }"#,
        2,
        &[Destination],
        Restores::Nothing,
    ),
    translator(
        r#"rewrite = { destination_port = 443, restore = "full" }"#,
        3,
        &[DestinationPort],
        Restores::All,
    ),
    translator(
        "rewrite = { destination_port = 443 }",
        3,
        &[DestinationPort],
        Restores::Nothing,
    ),
    other(r#"rewrite = { ip_id = "hashed" }"#, 4, true, false),
    other(r#"rewrite = { ip_id = "zeroed" }"#, 4, true, false),
    other("rewrite = { tos = 0x48 }", 5, false, false),
    other(r#"rewrite = { checksum = "wrong" }"#, 6, false, true),
    other(r#"rewrite = { checksum = "zeroed" }"#, 6, false, true),
    other("", 7, false, false),
];

/// One survey.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) protocol: Protocol,
    pub(super) ipv6: bool,
    /// Whether 8 bytes are quoted, or all.
    pub(super) short: bool,
    pub(super) quoting: &'static str,
    pub(super) boxes: [Box_; 2],
}

impl Case {
    /// What is left of a quote that was made behind the first `passed` boxes.
    pub(super) fn quote(&self, passed: usize) -> Quote {
        let has_ports = self.protocol != Protocol::Icmp;
        let covered = |field: &Field| match self.protocol {
            Protocol::Icmp if !self.ipv6 => *field == FlowNumber,
            _ => true,
        };
        let mut quote = Quote::default();
        for box_ in &self.boxes[..passed] {
            let fields = box_
                .changes
                .iter()
                .filter(|field| has_ports || **field != DestinationPort);
            for field in fields {
                quote.changed.insert(*field);
                if covered(field) {
                    quote.in_checksum.insert(*field);
                }
            }
            quote.ip_id_changed |= box_.ip_id && !self.ipv6;
        }
        for box_ in self.boxes[..passed].iter().rev() {
            for field in box_.changes {
                let address = matches!(field, Source | Destination);
                let back = match box_.restores {
                    Restores::All | Restores::AllButChecksum => true,
                    Restores::Addresses => address,
                    Restores::Nothing => false,
                };
                if back {
                    quote.changed.remove(field);
                }
                if box_.restores == Restores::All {
                    quote.in_checksum.remove(field);
                }
            }
            quote.checksum_lost |= box_.checksum;
        }
        quote
    }

    /// What the quote proves.
    pub(super) fn expected(&self, quote: &Quote) -> Result<Evidence, DiscardReason> {
        let tcp = self.protocol == Protocol::Tcp;
        let changed = |field| quote.changed.contains(&field);
        let tag = !self.short && !tcp;
        let serial = tcp
            || match self.ipv6 {
                true => !self.short,
                false => !quote.ip_id_changed,
            };
        let as_sent = tcp || (!quote.checksum_lost && quote.in_checksum.is_empty());
        // The checksum differs by just what the quote shows to be changed, so far as it covers that.
        let adjusted = tcp || {
            let shown: BTreeSet<Field> = match (self.protocol, self.ipv6) {
                (Protocol::Icmp, false) => quote
                    .changed
                    .iter()
                    .filter(|f| **f == FlowNumber)
                    .copied()
                    .collect(),
                _ => quote.changed.clone(),
            };
            !quote.checksum_lost && shown == quote.in_checksum
        };
        let source_side = changed(Source) || changed(FlowNumber);
        let destination_side = changed(Destination) || changed(DestinationPort);
        if !changed(FlowNumber) && !destination_side {
            return match (serial, as_sent) {
                _ if tag => Ok(Evidence::Full),
                (true, true) => Ok(Evidence::Full),
                (true, false) if changed(Source) && adjusted => Ok(Evidence::Rewritten),
                (true, false) | (false, true) => Ok(Evidence::Weak),
                (false, false) => Err(DiscardReason::Forged),
            };
        }
        let one_side = source_side != destination_side;
        if tag || (one_side && serial && adjusted) {
            Ok(Evidence::Rewritten)
        } else if changed(FlowNumber) {
            Err(DiscardReason::Foreign)
        } else {
            Err(DiscardReason::Unknown)
        }
    }
}
