//! Resolves host names without privileges. The answers are untrusted, and they arrive before the sockets of the survey are
//! open.

use crate::targets::{Answer, Families, Resolve, ResolveNames, Unresolved};

use super::give_up_here;

/// Runs another resolver in a thread without privileges.
pub struct Unprivileged<'a>(pub &'a Resolve<'a>);

impl ResolveNames for Unprivileged<'_> {
    fn resolve(&self, names: &[&str], families: Families) -> Vec<Answer> {
        let failed = |why: &str| {
            let answer = |_: &&str| Answer::failed(Unresolved::Other(why.to_owned()));
            names.iter().map(answer).collect()
        };
        let ask = || match give_up_here() {
            Ok(()) => self.0.resolve(names, families),
            Err(error) => failed(&error.to_string()),
        };
        std::thread::scope(
            |scope| match std::thread::Builder::new().spawn_scoped(scope, ask) {
                Ok(thread) => match thread.join() {
                    Ok(answers) => answers,
                    Err(panic) => std::panic::resume_unwind(panic),
                },
                Err(error) => failed(&format!("no thread can be started: {error}")),
            },
        )
    }
}
