//! Resolves host names without privileges. The answers are untrusted, and they arrive before the sockets of the survey are
//! open.

use crate::targets::{Answer, Families, Resolve, ResolveNames, Unresolved};

use super::give_up_here;

/// Runs another resolver in a thread without privileges.
pub struct Unprivileged<'a>(pub &'a Resolve<'a>);

impl ResolveNames for Unprivileged<'_> {
    fn resolve(&self, names: &[&str], families: Families) -> Vec<Answer> {
        let ask = || match give_up_here() {
            Ok(()) => self.0.resolve(names, families),
            Err(error) => {
                let failed = |_: &&str| Answer::failed(Unresolved::Other(error.to_string()));
                names.iter().map(failed).collect()
            }
        };
        std::thread::scope(|scope| match scope.spawn(ask).join() {
            Ok(answers) => answers,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }
}
