//! A survey by the program, at the chain's vantage point.

use std::net::IpAddr;

use serde::Deserialize;

use super::chain::Chain;

/// A row of `hops`, as far as it is looked at here. Names are those of the columns.
#[derive(Clone, Debug, Deserialize)]
pub struct Row {
    pub reply_index: i16,
    pub destination: IpAddr,
    pub source: Option<IpAddr>,
    pub src_port: Option<u16>,
    pub icmp_id: Option<u16>,
    pub ttl: Option<u8>,
    pub purpose: String,
    pub probe_checksum: Option<u16>,
    pub status: String,
    pub responder: Option<IpAddr>,
    pub quoted_source: Option<IpAddr>,
    pub reply_kind: Option<String>,
    pub evidence: Option<String>,
}

impl Row {
    /// What tells the flow from others to the same target: the source port, or the identifier of an echo request.
    pub fn port(&self) -> u16 {
        self.src_port.or(self.icmp_id).expect("a port")
    }
}

/// Surveys `target`; the program may do that quietly and without anything going wrong.
pub fn survey(chain: &Chain, target: IpAddr, options: &[&str]) -> Vec<Row> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("hops.jsonl");
    let mut command = chain.at_vantage(env!("CARGO_BIN_EXE_pathsurvey"));
    command
        .args(["survey", "--quiet", "--allow-special", "--seed", "1", "-o"])
        .arg(&file)
        .args(options)
        .arg(target.to_string());
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{options:?}: {told}");
    assert_eq!(told, "", "{options:?}");
    let text = std::fs::read_to_string(&file).unwrap();
    let rows: Vec<Row> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert!(rows.iter().all(|row| row.destination == target));
    rows
}

/// As [`survey`], where everything answers and nothing goes astray: one row a probe, each replied to, and surely.
pub fn clean_survey(chain: &Chain, target: IpAddr, options: &[&str]) -> Vec<Row> {
    let rows = survey(chain, target, options);
    let (clean, other): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(|row| {
        row.reply_index == 0 && row.status == "replied" && row.evidence.as_deref() == Some("full")
    });
    assert!(
        other.is_empty(),
        "{} of {} rows for {options:?}, such as {:#?}",
        other.len(),
        other.len() + clean.len(),
        other[0]
    );
    clean
}
