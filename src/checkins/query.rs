//! The question that a source of check-ins is asked.

use crate::deadline::Deadline;
use crate::ids::{UserId, WindowDays};
use crate::supabase::Credential;
use crate::telemetry::trace::Trace;

/// A question for a person's check-ins.
pub(crate) struct CheckInQuery<'a> {
    pub(crate) user_id: UserId,
    pub(crate) window: WindowDays,
    /// The number of latest check-ins that predictions are made at, beside the latest one.
    pub(crate) limit_checkins: u8,
    /// The credential for the database; `None` where it needs one that the caller does not have.
    pub(crate) credential: Option<Credential<'a>>,
    /// The person's generation in the cache: requests share an answer only within one. `None` if it is not known.
    pub(crate) generation: Option<&'a str>,
    pub(crate) deadline: Deadline,
    pub(crate) trace: Option<&'a Trace>,
}
