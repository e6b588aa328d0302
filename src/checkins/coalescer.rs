//! Coalescing: requests of one instance that need the same check-ins at the same time share one request to the
//! database.
//!
//! A waiting request polls, because a task of one request cannot wake another's.

use crate::deadline::Deadline;
use crate::ids::UserId;
use crate::platform::Tasks;
use crate::problem::SourceFailure;
use features::CheckIn;
use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// The time between two looks of a waiting request.
const POLL_INTERVAL: Duration = Duration::from_millis(3);

/// The answer of the database.
pub(super) type Answer = Result<Rc<[CheckIn]>, SourceFailure>;

/// The requests to the database that an instance is waiting for.
#[derive(Default)]
pub(super) struct Coalescer(RefCell<Vec<Weak<InFlightRequest>>>);

/// The parts of a request to the database in which shared requests agree.
#[derive(Clone)]
pub(super) struct SharedQuery {
    pub(super) user_id: UserId,
    /// The person's generation in the cache before the request: who knows of a later invalidation must ask anew.
    pub(super) generation: String,
    pub(super) rows: usize,
    pub(super) authorization: String,
}

/// A request under way. When the request that made it goes away without an answer, this does too.
struct InFlightRequest {
    query: SharedQuery,
    answer: RefCell<Option<Answer>>,
}

impl Coalescer {
    /// Waits for the answer to a request under way that has at least what this one needs, else makes the request.
    pub(super) async fn share(
        &self,
        platform: &(impl Tasks + Clone + 'static),
        query: SharedQuery,
        deadline: Deadline,
        ask: impl Future<Output = Answer>,
    ) -> Answer {
        while let Some(in_flight) = self.find(&query) {
            while let Some(in_flight) = in_flight.upgrade() {
                if let Some(answer) = &*in_flight.answer.borrow() {
                    return answer.clone();
                }
                drop(in_flight);
                if deadline.has_passed() {
                    return Err(SourceFailure::Slow);
                }
                platform.sleep(POLL_INTERVAL.min(deadline.remaining())).await;
            }
        }
        let own = Rc::new(InFlightRequest { query, answer: RefCell::default() });
        self.0.borrow_mut().push(Rc::downgrade(&own));
        let answer = ask.await;
        *own.answer.borrow_mut() = Some(answer.clone());
        // Nobody joins any more. Those who wait look again soon; until then the answer must not go away.
        self.0.borrow_mut().retain(|other| other.as_ptr() != Rc::as_ptr(&own));
        let tasks = platform.clone();
        platform.spawn(async move {
            tasks.sleep(4 * POLL_INTERVAL).await;
            drop(own);
        });
        answer
    }

    fn find(&self, wanted: &SharedQuery) -> Option<Weak<InFlightRequest>> {
        let mut in_flight = self.0.borrow_mut();
        in_flight.retain(|request| request.strong_count() > 0);
        let suffices = |query: &SharedQuery| {
            query.user_id == wanted.user_id
                && query.generation == wanted.generation
                && query.rows >= wanted.rows
                && query.authorization == wanted.authorization
        };
        in_flight.iter().find(|request| request.upgrade().is_some_and(|request| suffices(&request.query))).cloned()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }
}
