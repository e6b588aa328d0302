//! The sources of a person's check-ins: a Supabase project, or the demo cohort.

pub(crate) mod checkin;
mod coalescer;
mod demo;
mod query;
mod supabase;

use crate::platform::Platform;
use crate::problem::Problem;
use crate::supabase::Project;
use crate::telemetry::timing::CheckInSource;
use crate::time::today;
use coalescer::Coalescer;
use features::CheckIn;
use std::rc::Rc;

pub(crate) use query::CheckInQuery;
pub use supabase::parse_rows;

/// The demo cohort's ids, for the page that greets a newcomer.
pub(crate) use demo::PEOPLE;

/// The source of check-ins of one instance.
pub(crate) struct CheckIns<P> {
    platform: P,
    coalescer: Coalescer,
}

impl<P: Platform> CheckIns<P> {
    pub(crate) fn new(platform: P) -> CheckIns<P> {
        CheckIns { platform, coalescer: Coalescer::default() }
    }

    /// Fetches a person's check-ins, latest first, at least as many as the question needs. Empty for a person nobody
    /// knows: an answer that differs would tell a stranger who is known.
    pub(crate) async fn fetch(
        &self,
        project: Option<&Project>,
        query: &CheckInQuery<'_>,
    ) -> Result<Rc<[CheckIn]>, Problem> {
        let Some(project) = project else {
            let mut checkins = demo::checkins(&query.user_id.to_string(), today());
            checkins.sort_by_key(|checkin| std::cmp::Reverse(checkin.date));
            return Ok(checkins.into());
        };
        let credential = query.credential.ok_or(Problem::NoToken)?;
        supabase::fetch(&self.platform, &self.coalescer, project, query, credential).await.map_err(Problem::Source)
    }
}

/// The source that a deployment with this project has.
pub(crate) fn source(project: Option<&Rc<Project>>) -> CheckInSource {
    if project.is_some() { CheckInSource::Supabase } else { CheckInSource::Demo }
}
