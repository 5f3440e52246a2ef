//! The routers of a network file.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use toml::Spanned;

use super::build::Builder;
use super::values::{
    Problem, address_v4, address_v6, checked_share, headers, nanoseconds, prefix, problem,
    quote_bytes, rate_limit, wrapping,
};
use super::{RouteFile, RouterFile};
use crate::lab::hash::mix2;
use crate::lab::packet::extension::LONGEST_NAME;
use crate::lab::topology::declared::{Action, DeclaredRouter, Tunnel};
use crate::lab::topology::{Answering, Balance, Complaint, NodeId, Propagation, Quoting};
use crate::model::InterfaceInfo;

/// Labels have 20 bits; 0 to 15 are reserved (RFC 3032).
const LABELS: std::ops::RangeInclusive<u32> = 16..=0xf_ffff;

impl Builder<'_> {
    pub(in crate::lab) fn router(
        &self,
        index: usize,
        router: &RouterFile,
    ) -> Result<DeclaredRouter, Problem> {
        let name = router.name.get_ref().as_str();
        let own_seed = if self.file.polarised {
            0
        } else {
            index as u64 + 1
        };
        Ok(DeclaredRouter {
            answering: self.answering(router)?,
            zero_ttl_forwarding: router.zero_ttl_forwarding,
            complaint: router.complaint.map(|complaint| Complaint {
                code: complaint.code as u8,
                mtu: complaint.mtu,
                about: complaint.about,
            }),
            tunnel: tunnel(router)?,
            interfaces: interfaces(router)?,
            rewriting: self.rewriting(index, router)?,
            hash_seed: mix2(self.file.seed, own_seed),
            routes: self.routes(name, router)?,
        })
    }

    /// How the router answers in IPv4 and in IPv6. Without an address of a family it is silent in that family.
    fn answering(&self, router: &RouterFile) -> Result<[Answering; 2], Problem> {
        let v4 = router.address.as_ref().map(address_v4).transpose()?;
        let v6 = router.address6.as_ref().map(address_v6).transpose()?;
        self.check_own(router.address.as_ref(), v4.map(IpAddr::from))?;
        self.check_own(router.address6.as_ref(), v6.map(IpAddr::from))?;
        let [v4, v6] = [v4.map(IpAddr::from), v6.map(IpAddr::from)];
        let Some(either) = v4.or(v6) else {
            return Err(problem(
                &router.name,
                format!("router `{}` has no address", router.name.get_ref()),
                "give it an address, an address6, or both",
            ));
        };
        let answering = Answering {
            address: either,
            silent: router.silent,
            answer_loss: router.answer_loss.as_ref().map_or(Ok(0.0), |share| {
                checked_share(share, "answer_loss", *share.get_ref())
            })?,
            limit: router.rate_limit.as_ref().map(rate_limit).transpose()?,
            delay: router.answer_delay_ms.as_ref().map_or(Ok(0), |ms| {
                nanoseconds(ms, "answer_delay_ms", *ms.get_ref())
            })?,
            initial_ttl: router.initial_ttl.unwrap_or(255),
            quoting: Quoting {
                bytes: quote_bytes(router.quote_bytes.as_ref())?,
                length: router.quote_length,
                extensions: router.extensions,
                headers: headers(&router.quote_headers)?,
            },
            wrapping: wrapping(&router.answer_headers, router.answer_fragments.as_ref())?,
        };
        Ok([v4, v6].map(|own| Answering {
            address: own.unwrap_or(either),
            silent: router.silent || own.is_none(),
            ..answering
        }))
    }

    /// Checks that no other router has the address `own`, which stands at `text`.
    fn check_own(
        &self,
        text: Option<&Spanned<String>>,
        own: Option<IpAddr>,
    ) -> Result<(), Problem> {
        let (Some(text), Some(own)) = (text, own) else {
            return Ok(());
        };
        if own == self.vantage_v4 || self.vantage_v6.is_some_and(|vantage| own == vantage) {
            return Err(problem(
                text,
                format!("{own} is the vantage point's address"),
                "give the router another",
            ));
        }
        for target in &self.file.target {
            if prefix(&target.prefix)?.contains(&own) {
                return Err(problem(
                    text,
                    format!(
                        "{own} lies among the targets of `{}`",
                        target.prefix.get_ref()
                    ),
                    "give the router an address outside all targets",
                ));
            }
        }
        Ok(())
    }

    fn routes(&self, name: &str, router: &RouterFile) -> Result<Vec<(IpNet, Action)>, Problem> {
        let mut routes: Vec<(IpNet, Action)> = Vec::new();
        let mut add = |at: &Spanned<String>, prefix: IpNet, action| {
            if routes.iter().any(|(known, _)| *known == prefix) {
                return Err(problem(
                    at,
                    format!("router `{name}` has two ways to {prefix}"),
                    "keep one of them (a target hangs off one router and needs no route there)",
                ));
            }
            routes.push((prefix, action));
            Ok(())
        };
        for target in self.file.target.iter().filter(|t| t.at.get_ref() == name) {
            let line = self.line(&[target.line.as_ref()])?;
            add(
                &target.prefix,
                prefix(&target.prefix)?,
                Action::Deliver(line),
            )?;
        }
        for route in &router.routes {
            add(&route.to, prefix(&route.to)?, self.action(name, route)?)?;
        }
        if !router.next.is_empty() {
            let action = self.forward(name, router.balance, &router.next)?;
            for everything in [IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())] {
                add(&router.next[0], everything, action.clone())?;
            }
        }
        routes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.prefix_len()));
        Ok(routes)
    }

    fn action(&self, name: &str, route: &RouteFile) -> Result<Action, Problem> {
        match (route.next.is_empty(), route.unreachable, route.discard) {
            (false, None, false) => self.forward(name, route.balance, &route.next),
            (true, Some(code), false) => Ok(Action::Unreachable {
                code: code as u8,
                mtu: route.mtu,
                before_ttl_check: route.before_ttl_check,
            }),
            (true, None, true) => Ok(Action::Discard),
            _ => Err(problem(
                &route.to,
                format!(
                    "the route to {} must do exactly one thing",
                    route.to.get_ref()
                ),
                "give it one of next, unreachable, discard = true",
            )),
        }
    }

    fn forward(
        &self,
        from: &str,
        balance: Balance,
        next: &[Spanned<String>],
    ) -> Result<Action, Problem> {
        let hops = next
            .iter()
            .map(|name| {
                let to = self.node(name)?;
                Ok((NodeId(to as u32), self.line_between(from, to)?))
            })
            .collect::<Result<_, Problem>>()?;
        Ok(Action::Forward { balance, hops })
    }
}

fn tunnel(router: &RouterFile) -> Result<Option<Tunnel>, Problem> {
    let Some(mpls) = &router.mpls else {
        return Ok(None);
    };
    let file = mpls.get_ref();
    if file.labels.is_empty()
        || file.labels.len() > 8
        || !file.labels.iter().all(|l| LABELS.contains(l))
    {
        return Err(problem(
            mpls,
            "a label stack is 1 to 8 labels of 16 to 1048575",
            "list the labels from the top, such as labels = [24001]",
        ));
    }
    Ok(Some(Tunnel {
        propagation: if file.propagate_ttl {
            Propagation::Copied
        } else {
            Propagation::Hidden
        },
        shown: file.shown,
        labels: file.labels.clone(),
    }))
}

fn interfaces(router: &RouterFile) -> Result<Vec<InterfaceInfo>, Problem> {
    if let Some(fifth) = router.interfaces.get(4) {
        return Err(problem(
            fifth,
            "a router speaks of at most four interfaces",
            "leave some out",
        ));
    }
    let checked = router.interfaces.iter().map(|at| {
        let file = at.get_ref();
        if file
            .name
            .as_ref()
            .is_some_and(|name| !(1..=LONGEST_NAME).contains(&name.len()))
        {
            return Err(problem(
                at,
                "an interface's name is too long or empty",
                format!("give 1 to {LONGEST_NAME} bytes, or leave it out"),
            ));
        }
        Ok(InterfaceInfo {
            role: file.role,
            ifindex: file.ifindex,
            address: file.address,
            name: file.name.clone(),
            mtu: file.mtu,
        })
    });
    checked.collect()
}
