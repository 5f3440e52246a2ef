//! The boxes of a network file: routers that translate or rewrite what they forward.

use std::net::IpAddr;

use ipnet::IpNet;
use toml::Spanned;

use super::build::Builder;
use super::values::{Problem, address_v4, address_v6, prefix, problem};
use super::{NatFile, RewriteFile, RouterFile};
use crate::lab::hash::mix2;
use crate::lab::topology::rewriting::{Mapping, Rewriting};

impl Builder<'_> {
    /// What the router with this index rewrites, if it is a box.
    pub(in crate::lab) fn rewriting(
        &self,
        index: usize,
        router: &RouterFile,
    ) -> Result<Option<Rewriting>, Problem> {
        // Routers may share a balancing seed; boxes must not share this one.
        let seed = mix2(self.file.seed, !(index as u64));
        match (&router.nat, &router.rewrite) {
            (None, None) => Ok(None),
            (Some(nat), None) => self.nat(nat, seed).map(Some),
            (None, Some(rewrite)) => rewriting_box(rewrite, seed).map(Some),
            (Some(nat), Some(_)) => Err(problem(
                nat,
                "a router is either a NAT or a rewriting box",
                "put the second onto a router of its own",
            )),
        }
    }

    fn nat(&self, at: &Spanned<NatFile>, seed: u64) -> Result<Rewriting, Problem> {
        let nat = at.get_ref();
        let v4 = nat.public.as_ref().map(address_v4).transpose()?;
        let v6 = nat.public6.as_ref().map(address_v6).transpose()?;
        let vantage_v6 = match (&nat.public6, self.vantage_v6) {
            (Some(public6), None) => {
                return Err(problem(
                    public6,
                    "the network has no IPv6 to translate",
                    "leave public6 out, or give a router an address6",
                ));
            }
            (_, vantage) => vantage,
        };
        if v4.is_none() && v6.is_none() {
            return Err(problem(
                at,
                "a NAT has a public address",
                "give it public, public6, or both",
            ));
        }
        let mapping = |from: Option<IpAddr>, to: Option<IpAddr>| {
            let (from, to) = (from?.into(), to?.into());
            Some(Mapping { from, to })
        };
        Ok(Rewriting {
            source: [
                mapping(Some(self.vantage_v4.into()), v4.map(IpAddr::from)),
                mapping(vantage_v6.map(IpAddr::from), v6.map(IpAddr::from)),
            ],
            // One to one, and never the identity.
            source_port: if nat.ports { 0x8000 | seed as u16 } else { 0 },
            restore: nat.restore,
            seed,
            ..Rewriting::default()
        })
    }
}

fn rewriting_box(at: &Spanned<RewriteFile>, seed: u64) -> Result<Rewriting, Problem> {
    let rewrite = at.get_ref();
    let only = rewrite.from.as_ref().map(prefix).transpose()?;
    let destination = match (only, &rewrite.to) {
        (Some(from), Some(to)) => Some(mapping(from, to)?),
        (None, Some(to)) => {
            return Err(problem(
                to,
                "nothing says which destinations are rewritten",
                "give from = PREFIX beside to",
            ));
        }
        (_, None) => None,
    };
    let found = Rewriting {
        only,
        destination,
        destination_port: rewrite.destination_port,
        ip_id: rewrite.ip_id,
        tos: rewrite.tos,
        quoted_checksum: rewrite.checksum,
        restore: rewrite.restore,
        seed,
        ..Rewriting::default()
    };
    let idle = Rewriting {
        only,
        restore: rewrite.restore,
        seed,
        ..Rewriting::default()
    };
    if found == idle {
        return Err(problem(
            at,
            "the box rewrites nothing",
            "give it from and to, destination_port, ip_id, tos or checksum",
        ));
    }
    Ok(found)
}

fn mapping(from: IpNet, to: &Spanned<String>) -> Result<Mapping, Problem> {
    let at = to;
    let to = prefix(at)?;
    if from.prefix_len() != to.prefix_len() || from.addr().is_ipv4() != to.addr().is_ipv4() {
        return Err(problem(
            at,
            format!("{from} and {to} differ in size"),
            "rewrite to a prefix of the same family and length",
        ));
    }
    Ok(Mapping { from, to })
}
