//! Background predictions: a job says in the store how far it is.
//!
//! A question has one place in the store, however many times its caller asks it, so that the store holds no more jobs
//! than questions. While one runs, asking again gives the same job; once it has ended, asking again runs it anew in the
//! same place. A run has an id of its own, and ends only a record that still has it.
//!
//! An instance may die at any time, and nobody notices: a run has a deadline, and one that has not ended by then has
//! failed. The store does not keep the person that a job is about. It keeps a hash of the caller who started it,
//! because nobody else may read it.

use crate::config::Settings;
use crate::deadline::Deadline;
use crate::http::problem_response::problem_json;
use crate::platform::Platform;
use crate::problem::Problem;
use crate::store::{Failure, Store};
use crate::telemetry::log;
use crate::telemetry::metrics::{self, JOBS};
use crate::time::rfc3339_seconds;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::rc::Rc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// No record that this service writes is longer.
const MAX_RECORD_BYTES: usize = 1 << 20;
/// The end of a run is written so often, with a backoff between: it is all that its caller waits for.
const WRITE_ATTEMPTS: u32 = 4;
const WRITE_BACKOFF: Duration = Duration::from_millis(250);
/// A run may still be writing its outcome so long after its deadline.
const GRACE: Duration = Duration::from_secs(5);

/// A job in the store. Times are in milliseconds since 1970-01-01 UTC.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Job {
    id: String,
    /// Tells runs of one question apart.
    run: String,
    /// The caller who started it, hashed.
    owner: String,
    /// The person's generation in the cache before the run: after an invalidation it is another question.
    generation: String,
    created_at: i64,
    /// The time after which a run that has not ended has failed.
    fails_at: i64,
    ended: Option<Ended>,
}

/// The end of a run.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Ended {
    at: i64,
    outcome: JobOutcome,
}

/// The outcome of a run: the body of an answer.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum JobOutcome {
    Done(Box<RawValue>),
    Failed(Box<RawValue>),
}

impl JobOutcome {
    pub(crate) fn status(&self) -> JobStatus {
        match self {
            JobOutcome::Done(_) => JobStatus::Done,
            JobOutcome::Failed(_) => JobStatus::Failed,
        }
    }
}

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum JobStatus {
    Running,
    Done,
    Failed,
}

impl JobStatus {
    /// The label in metrics and in the log.
    pub(crate) fn name(self) -> &'static str {
        match self {
            JobStatus::Running => "running",
            JobStatus::Done => "done",
            JobStatus::Failed => "failed",
        }
    }
}

/// A job as its caller sees it.
#[derive(Debug, Serialize)]
pub(crate) struct JobView<'a> {
    pub(crate) id: &'a str,
    pub(crate) status: JobStatus,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Box<RawValue>>,
}

/// A job that a caller is pointed to.
pub(crate) enum Started {
    /// It was running already.
    Before(Job),
    /// Whoever started it must [`Jobs::finish`] it by the deadline.
    Now(Job, Deadline),
}

/// The jobs of one instance.
pub(crate) struct Jobs<P: Platform> {
    platform: P,
    store: Rc<Store<P>>,
}

impl<P: Platform> Jobs<P> {
    pub(crate) fn new(platform: P, store: Rc<Store<P>>) -> Jobs<P> {
        Jobs { platform, store }
    }

    /// Starts a job in the place of a caller's question. The question may name a person: it is hashed.
    pub(crate) async fn start(
        &self,
        settings: &Settings,
        caller: &str,
        question: &str,
        generation: &str,
    ) -> Result<Started, Failure> {
        let owner = self.owner(caller);
        let id = self.store.hash(&format!("job:{caller}:{question}"));
        let now = Timestamp::now().as_millisecond();
        let before = self.get(&id).await?;
        if let Some(job) =
            before.filter(|job| job.is_running(now) && job.generation == generation && job.owner == owner)
        {
            return Ok(Started::Before(job));
        }
        let deadline = Deadline::new(Instant::now(), settings.inference_timeout);
        let job = Job {
            id,
            run: Uuid::new_v4().to_string(),
            owner,
            generation: generation.to_owned(),
            created_at: now,
            fails_at: after(now, settings.inference_timeout + GRACE),
            ended: None,
        };
        self.set(settings, &job).await?;
        metrics::add(&JOBS, &["started"], 1);
        Ok(Started::Now(job, deadline))
    }

    /// Writes the outcome of a run, unless a later run has taken its place.
    pub(crate) async fn finish(&self, settings: &Settings, job: Job, outcome: JobOutcome) {
        metrics::add(&JOBS, &[outcome.status().name()], 1);
        let job = Job { ended: Some(Ended { at: Timestamp::now().as_millisecond(), outcome }), ..job };
        let mut cause = "it ended too late";
        for attempt in 0..WRITE_ATTEMPTS {
            if attempt > 0 {
                self.platform.sleep(WRITE_BACKOFF).await;
            }
            if Timestamp::now().as_millisecond() >= job.fails_at {
                // Whoever looked has been told that it failed.
                break;
            }
            cause = match self.get(&job.id).await {
                Ok(Some(other)) if other.run != job.run => return,
                Ok(_) => match self.set(settings, &job).await {
                    Ok(()) => return,
                    Err(failure) => failure.cause(),
                },
                Err(failure) => failure.cause(),
            };
        }
        log::warning("job_not_written", "the end of a background prediction could not be written", cause);
    }

    /// Finds the job of an id, for the caller who started it and as long as it is kept. Errors for everyone else as if
    /// it had never been.
    pub(crate) async fn find(&self, settings: &Settings, caller: &str, id: &str) -> Result<Job, Problem> {
        if !is_job_id(id) {
            return Err(Problem::NoSuchJob);
        }
        let unavailable = |failure: Failure| {
            failure.warn("job_not_read", "a background prediction could not be read");
            Problem::StoreUnavailable
        };
        let owner = self.owner(caller);
        let job = self.get(id).await.map_err(unavailable)?;
        let job = job.filter(|job| job.owner == owner).ok_or(Problem::NoSuchJob)?;
        let ended_at = job.ended.as_ref().map_or(job.fails_at, |ended| ended.at);
        if Timestamp::now().as_millisecond() < after(ended_at, settings.job_ttl) {
            return Ok(job);
        }
        // The store forgets nothing by itself.
        let (store, key) = (self.store.clone(), key(id));
        self.platform.spawn(async move { store.uncounted().delete(&key).await });
        Err(Problem::NoSuchJob)
    }

    fn owner(&self, caller: &str) -> String {
        self.store.hash(&format!("owner:{caller}"))
    }

    /// The record of an id. One that is corrupt, or another's that was copied here, is none.
    async fn get(&self, id: &str) -> Result<Option<Job>, Failure> {
        let record = self.store.get_sealed(&key(id)).await?;
        Ok(record.and_then(|record| Job::parse(&record, id)))
    }

    async fn set(&self, settings: &Settings, job: &Job) -> Result<(), Failure> {
        // A record of texts and numbers can always be serialized.
        let record = serde_json::to_vec(job).unwrap_or_default();
        let keep = settings.inference_timeout + GRACE + settings.job_ttl;
        self.store.set_sealed(&key(&job.id), &record, keep).await
    }
}

/// An id has 32 hexadecimal digits in lower case.
fn is_job_id(id: &str) -> bool {
    id.len() == 32 && base16ct::lower::decode(id, &mut [0; 16]).is_ok()
}

fn key(id: &str) -> String {
    format!("job:{id}")
}

fn after(time: i64, duration: Duration) -> i64 {
    time.saturating_add_unsigned(duration.as_millis() as u64)
}

impl Job {
    /// Parses the record of an id, or returns `None` if it is corrupt or another's.
    pub fn parse(record: &[u8], id: &str) -> Option<Job> {
        if record.len() > MAX_RECORD_BYTES {
            return None;
        }
        serde_json::from_slice(record).ok().filter(|job: &Job| job.id == id)
    }

    /// Renders the job as its caller sees it.
    pub fn render(&self) -> Vec<u8> {
        serde_json::to_vec(&self.view()).unwrap_or_default()
    }

    fn is_running(&self, now: i64) -> bool {
        self.ended.is_none() && now < self.fails_at
    }

    pub(crate) fn view(&self) -> JobView<'_> {
        let time = |time| Timestamp::from_millisecond(time).map(rfc3339_seconds).unwrap_or_default();
        let view = |status, finished_at: Option<i64>, result, error| JobView {
            id: &self.id,
            status,
            created_at: time(self.created_at),
            finished_at: finished_at.map(time),
            result,
            error,
        };
        match &self.ended {
            Some(Ended { at, outcome }) => match outcome {
                JobOutcome::Done(result) => view(JobStatus::Done, Some(*at), Some(result), None),
                JobOutcome::Failed(error) => view(JobStatus::Failed, Some(*at), None, Some(error.clone())),
            },
            None if self.is_running(Timestamp::now().as_millisecond()) => view(JobStatus::Running, None, None, None),
            None => view(JobStatus::Failed, Some(self.fails_at), None, Some(problem_json(&Problem::JobLost))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_platform::Fake;
    use futures::executor::block_on;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).expect("JSON")
    }

    fn with_jobs(test: impl AsyncFnOnce(&Fake, &Jobs<Fake>, &Settings)) {
        let fake = Fake::with_variable("job_ttl_seconds", "60");
        block_on(async {
            let settings = Settings::read(&fake).await.expect("valid");
            let store = Rc::new(Store::new(fake.clone()));
            store.configure(settings.store_secrets.clone(), None);
            let jobs = Jobs::new(fake.clone(), store);
            test(&fake, &jobs, &settings).await;
        });
    }

    async fn start(jobs: &Jobs<Fake>, settings: &Settings, caller: &str, generation: &str) -> (Job, bool) {
        match jobs.start(settings, caller, "question", generation).await.expect("started") {
            Started::Now(job, _) => (job, true),
            Started::Before(job) => (job, false),
        }
    }

    #[test]
    fn a_question_has_one_job_while_it_runs_and_another_caller_has_their_own() {
        with_jobs(async |_, jobs, settings| {
            let (first, is_new) = start(jobs, settings, "one", "g").await;
            assert!(is_new);
            let (again, is_new) = start(jobs, settings, "one", "g").await;
            assert!(!is_new && again.id == first.id && again.run == first.run);
            let (other, is_new) = start(jobs, settings, "other", "g").await;
            assert!(is_new && other.id != first.id);
            assert_eq!(jobs.find(settings, "other", &first.id).await.err(), Some(Problem::NoSuchJob));
            assert_eq!(jobs.find(settings, "one", &first.id).await.expect("there").view().status, JobStatus::Running);
        });
    }

    #[test]
    fn a_run_that_was_replaced_does_not_end_the_one_that_replaced_it() {
        with_jobs(async |_, jobs, settings| {
            let (before, _) = start(jobs, settings, "one", "before").await;
            let (after, is_new) = start(jobs, settings, "one", "after an invalidation").await;
            assert!(is_new && after.id == before.id);
            jobs.finish(settings, before, JobOutcome::Done(raw("\"old\""))).await;
            assert_eq!(jobs.find(settings, "one", &after.id).await.expect("there").view().status, JobStatus::Running);
            jobs.finish(settings, after.clone(), JobOutcome::Done(raw("\"new\""))).await;
            let found = jobs.find(settings, "one", &after.id).await.expect("there");
            assert_eq!(found.view().result.map(RawValue::get), Some("\"new\""));
        });
    }

    #[test]
    fn a_run_that_never_ends_has_failed_and_is_forgotten_in_time() {
        with_jobs(async |fake, jobs, settings| {
            let (job, _) = start(jobs, settings, "one", "g").await;
            let now = Timestamp::now().as_millisecond();
            for (fails_at, status) in [(now - 1_000, Ok(JobStatus::Failed)), (now - 61_000, Err(Problem::NoSuchJob))] {
                jobs.set(settings, &Job { fails_at, ..job.clone() }).await.expect("written");
                let found = jobs.find(settings, "one", &job.id).await;
                assert_eq!(found.map(|job| job.view().status), status);
            }
            assert!(!fake.stored.borrow().contains_key(&key(&job.id)), "it is deleted");
        });
    }

    #[test]
    fn a_record_that_is_corrupt_or_was_copied_is_none() {
        with_jobs(async |_, jobs, settings| {
            let (job, _) = start(jobs, settings, "one", "g").await;
            let written = serde_json::to_vec(&job).expect("JSON");
            assert!(Job::parse(&written, &job.id).is_some());
            assert!(Job::parse(&written, "another").is_none());
            assert!((0..written.len()).all(|end| Job::parse(&written[..end], &job.id).is_none()));
            for id in ["", "x", "../generation", &job.id.to_uppercase(), &format!("{}0", job.id)] {
                assert_eq!(jobs.find(settings, "one", id).await.err(), Some(Problem::NoSuchJob), "{id}");
            }
        });
    }
}
