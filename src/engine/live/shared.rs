//! What the threads of a run share: the core under one lock, and the way from it to the collector.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::Sender;

use crate::engine::clock::Clock;
use crate::engine::core::{Core, Event, Next};
use crate::engine::outbox::Outbox;
use crate::engine::stop::Stop;
use crate::model::{Blocked, Time};

/// Stop flags are looked at at least this often.
pub(super) const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// The core, for the threads of a run.
pub(super) struct Shared<'a> {
    core: Mutex<Guarded>,
    /// Wakes the sender when the strategy has learned something.
    news: Condvar,
    /// Events on their way to the collector.
    pub events_waiting: AtomicUsize,
    pub clock: Clock,
    pub stop: &'a Stop,
    /// How many blocklists came. The sender holds this lock while it compares the number and calls the transport.
    lists: Mutex<u64>,
}

struct Guarded {
    core: Core,
    /// Where events go; `None` when the run is over.
    events: Option<Sender<VecDeque<Event>>>,
    sender_waits: bool,
}

impl<'a> Shared<'a> {
    pub fn new(core: Core, events: Sender<VecDeque<Event>>, clock: Clock, stop: &'a Stop) -> Self {
        Shared {
            core: Mutex::new(Guarded {
                core,
                events: Some(events),
                sender_waits: false,
            }),
            news: Condvar::new(),
            events_waiting: AtomicUsize::new(0),
            clock,
            stop,
            lists: Mutex::new(0),
        }
    }

    /// A thread that panicked while it held the core has left it whole enough to count with. The run ends with that thread's error
    /// anyway.
    fn lock(&self) -> MutexGuard<'_, Guarded> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lends the core, with the time. What came of it goes to the collector before anybody else gets the core, so that all events
    /// keep their order.
    pub fn with<T>(&self, work: impl FnOnce(&mut Core, Time) -> T) -> T {
        let mut guarded = self.lock();
        let result = work(&mut guarded.core, self.clock.now());
        self.pass_events(&mut guarded);
        if guarded.sender_waits && guarded.core.has_news() {
            self.news.notify_one();
        }
        result
    }

    fn pass_events(&self, guarded: &mut Guarded) {
        let events = guarded.core.take_events();
        if let (false, Some(sender)) = (events.is_empty(), &guarded.events) {
            self.events_waiting
                .fetch_add(events.len(), Ordering::Relaxed);
            // A collector that is gone has failed, and says why itself.
            let _ = sender.send(events);
        }
    }

    /// Asks the core for a batch of probes. If only an outcome can help, waits for one.
    pub fn collect(&self, outbox: &mut Outbox) -> Next {
        let mut guarded = self.lock();
        let now = self.clock.now();
        let waiting = self.events_waiting.load(Ordering::Relaxed);
        let next = outbox.collect(&mut guarded.core, now, waiting);
        self.pass_events(&mut guarded);
        if let Next::AwaitOutcome(until) = next {
            let span = until.map_or(LONGEST_WAIT, |until| until.since(now).min(LONGEST_WAIT));
            guarded.sender_waits = true;
            let waited = self
                .news
                .wait_timeout_while(guarded, span, |guarded| !guarded.core.has_news());
            let (mut guarded, _) = waited.unwrap_or_else(PoisonError::into_inner);
            guarded.sender_waits = false;
        }
        next
    }

    /// Takes a blocklist. When this returns, no probe to a blocked address is under way to the kernel, and none will be.
    pub fn set_blocked(&self, blocked: Arc<dyn Blocked>) {
        self.with(|core, now| core.set_blocked(blocked, now));
        // Waits for the send call that may be under way. The next one sees that there is a new list.
        *self.lists() += 1;
    }

    /// How many blocklists came. No further one takes effect while the result is held.
    pub fn lists(&self) -> MutexGuard<'_, u64> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the collector end when it has taken what was put out so far.
    fn close(&self) {
        self.lock().events = None;
    }
}

/// Lets the collector end, also if the thread that holds this panics: without it the collector would wait for good.
pub(super) struct Closing<'a>(pub &'a Shared<'a>);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop.fail();
        }
        self.0.close();
    }
}

/// Lets the other threads end when the one that holds it panics: without it they would wait for each other for good.
pub(super) struct PanicGuard<'a>(pub &'a Stop);

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail();
        }
    }
}
