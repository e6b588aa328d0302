//! Predictions that are made after the answer: a job says in the store how far it is.
//!
//! A question has one place, whatever number of times its caller asks it, so that the store holds no more jobs than questions.
//! While one runs, asking again gives the same job; once it has ended, asking again runs it anew in the same place. A run has a
//! name of its own, and ends only a record that still has it.
//!
//! An instance may die at any time, and nobody notices: a run has a deadline, and one that has not ended by then has failed.
//! The store does not keep whom a job is about. It keeps a hash of who started it, because nobody else may read it.

use crate::deadline::Deadline;
use crate::instance::Instance;
use crate::platform::Platform;
use crate::problem::Problem;
use crate::response::in_seconds;
use crate::settings::Settings;
use crate::store::{self, Failure, WRITE_LIMIT};
use crate::telemetry::log;
use crate::telemetry::metrics::{self, JOBS};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::rc::Rc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// No record that this service writes is longer.
const LONGEST_RECORD: usize = 1 << 20;
/// How often the end of a run is written, and the pause between: it is all that its caller waits for.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(250);
/// How long after its deadline a run may still be writing what it found.
const GRACE: Duration = Duration::from_secs(5);

/// A job as the store has it. Times are in milliseconds since 1970-01-01 UTC.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Job {
    id: String,
    /// Tells runs of one question apart.
    run: String,
    /// Who started it, hashed.
    owner: String,
    /// The person's generation in the cache before the run: what was asked after an invalidation is another question.
    generation: String,
    created_at: i64,
    /// When a run that has not ended has failed.
    fails_at: i64,
    ended: Option<Ended>,
}

/// How a run ended.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Ended {
    at: i64,
    outcome: Outcome,
}

/// What a run found: the body of an answer.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    Done(Box<RawValue>),
    Failed(Box<RawValue>),
}

impl Outcome {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Outcome::Done(_) => "done",
            Outcome::Failed(_) => "failed",
        }
    }
}

/// A job as its caller sees it.
#[derive(Debug, Serialize)]
pub(crate) struct Seen<'a> {
    pub(crate) id: &'a str,
    pub(crate) status: &'static str,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Box<RawValue>>,
}

/// A job that a caller is pointed to.
pub(crate) enum Begun {
    /// It runs already.
    Before(Job),
    /// Whoever began it must [`finish`] it by then.
    Now(Job, Deadline),
}

/// Takes the place of a caller's question in the store. What the question is about may stand in `question`: it is hashed.
pub(crate) async fn begin<P: Platform>(
    instance: &Instance<P>,
    settings: &Settings,
    caller: &str,
    question: &str,
    generation: &str,
) -> Result<Begun, &'static str> {
    let failed = |failure: Failure| failure.name().unwrap_or("the store was too slow a moment ago");
    let owner = owner(instance, settings, caller).await.map_err(failed)?;
    let id = store::hashed(instance, settings, &format!("job:{caller}:{question}")).await.map_err(failed)?;
    let now = Timestamp::now().as_millisecond();
    let before = stored(instance, settings, &id).await.map_err(failed)?;
    if let Some(before) = before.filter(|job| job.runs(now) && job.generation == generation && job.owner == owner) {
        return Ok(Begun::Before(before));
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
    write(instance, settings, &job).await?;
    metrics::add(&JOBS, &["started"], 1);
    Ok(Begun::Now(job, deadline))
}

/// Writes how a run ended, unless a later one has taken its place.
pub(crate) async fn finish<P: Platform>(instance: &Instance<P>, settings: &Settings, job: Job, outcome: Outcome) {
    metrics::add(&JOBS, &[outcome.name()], 1);
    let job = Job { ended: Some(Ended { at: Timestamp::now().as_millisecond(), outcome }), ..job };
    let mut cause = "it ended too late";
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            instance.platform.sleep(PAUSE).await;
        }
        if Timestamp::now().as_millisecond() >= job.fails_at {
            // Whoever looked has been told that it failed.
            break;
        }
        cause = match stored(instance, settings, &job.id).await {
            Ok(there) if there.as_ref().is_some_and(|there| there.run != job.run) => return,
            Ok(_) => match write(instance, settings, &job).await {
                Ok(()) => return,
                Err(cause) => cause,
            },
            Err(failure) => failure.name().unwrap_or("the store was too slow a moment ago"),
        };
    }
    log::warning("job_not_written", "the end of a background prediction could not be written", cause);
}

/// The job of an id, for who started it and as long as it is kept. Whoever did not is told the same as of one that never was.
pub(crate) async fn find<P: Platform>(
    instance: &Rc<Instance<P>>,
    settings: &Rc<Settings>,
    caller: &str,
    id: &str,
) -> Result<Job, Problem> {
    let is_id = id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !is_id {
        return Err(Problem::NoSuchJob);
    }
    let unavailable = |failure: Failure| {
        if let Some(cause) = failure.name() {
            log::warning("job_not_read", "a background prediction could not be read", cause);
        }
        Problem::StoreUnavailable
    };
    let owner = owner(instance, settings, caller).await.map_err(unavailable)?;
    let job = stored(instance, settings, id).await.map_err(unavailable)?;
    let job = job.filter(|job| job.owner == owner).ok_or(Problem::NoSuchJob)?;
    let ended_at = job.ended.as_ref().map_or(job.fails_at, |ended| ended.at);
    if Timestamp::now().as_millisecond() < after(ended_at, settings.job_ttl) {
        return Ok(job);
    }
    // The store forgets nothing by itself.
    let (platform, key) = (instance.platform.clone(), key(id));
    instance.platform.spawn(async move {
        let _ = crate::platform::within(&platform, WRITE_LIMIT, platform.delete(&key)).await;
    });
    Err(Problem::NoSuchJob)
}

async fn owner<P: Platform>(instance: &Instance<P>, settings: &Settings, caller: &str) -> Result<String, Failure> {
    store::hashed(instance, settings, &format!("owner:{caller}")).await
}

fn key(id: &str) -> String {
    format!("job:{id}")
}

fn after(time: i64, duration: Duration) -> i64 {
    time.saturating_add_unsigned(duration.as_millis() as u64)
}

/// The record of an id. One that is corrupt, or another's that was copied here, is none.
async fn stored<P: Platform>(instance: &Instance<P>, settings: &Settings, id: &str) -> Result<Option<Job>, Failure> {
    let key = key(id);
    let bytes = store::ask(instance, "get", instance.platform.get(&key)).await?;
    Ok(bytes.and_then(|bytes| store::open(settings, &key, bytes)).and_then(|bytes| read(&bytes, id)))
}

fn read(bytes: &[u8], id: &str) -> Option<Job> {
    if bytes.len() > LONGEST_RECORD {
        return None;
    }
    serde_json::from_slice(bytes).ok().filter(|job: &Job| job.id == id)
}

async fn write<P: Platform>(instance: &Instance<P>, settings: &Settings, job: &Job) -> Result<(), &'static str> {
    let key = key(&job.id);
    let bytes = serde_json::to_vec(job).map_err(|_| "it is not JSON")?;
    store::write(&instance.platform, &key, &store::seal(settings, &key, &bytes)).await
}

/// What the fuzzer calls.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz(bytes: &[u8]) {
    if let Some(job) = read(bytes, "i") {
        let _ = serde_json::to_vec(&job.seen());
    }
}

impl Job {
    fn runs(&self, now: i64) -> bool {
        self.ended.is_none() && now < self.fails_at
    }

    pub(crate) fn seen(&self) -> Seen<'_> {
        let time = |time| Timestamp::from_millisecond(time).map(in_seconds).unwrap_or_default();
        let seen = |status, finished_at: Option<i64>, result, error| Seen {
            id: &self.id,
            status,
            created_at: time(self.created_at),
            finished_at: finished_at.map(time),
            result,
            error,
        };
        match &self.ended {
            Some(Ended { at, outcome: Outcome::Done(result) }) => seen("done", Some(*at), Some(result), None),
            Some(Ended { at, outcome: Outcome::Failed(error) }) => seen("failed", Some(*at), None, Some(error.clone())),
            None if self.runs(Timestamp::now().as_millisecond()) => seen("running", None, None, None),
            None => seen("failed", Some(self.fails_at), None, Some(Problem::JobLost.into_json())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::fake::Fake;
    use futures::executor::block_on;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).expect("JSON")
    }

    fn in_an_instance(test: impl AsyncFnOnce(&Rc<Instance<Fake>>, &Rc<Settings>)) {
        let instance = Rc::new(Instance::new(Fake::with_variable("job_ttl_seconds", "60")));
        block_on(async {
            let settings = instance.settings().await.expect("valid");
            test(&instance, &settings).await;
        });
    }

    async fn begun(instance: &Instance<Fake>, settings: &Settings, caller: &str, generation: &str) -> (Job, bool) {
        match begin(instance, settings, caller, "question", generation).await.expect("begun") {
            Begun::Now(job, _) => (job, true),
            Begun::Before(job) => (job, false),
        }
    }

    #[test]
    fn a_question_has_one_job_while_it_runs_and_another_caller_has_their_own() {
        in_an_instance(async |instance, settings| {
            let (first, new) = begun(instance, settings, "one", "g").await;
            assert!(new);
            let (again, new) = begun(instance, settings, "one", "g").await;
            assert!(!new && again.id == first.id && again.run == first.run);
            let (other, new) = begun(instance, settings, "other", "g").await;
            assert!(new && other.id != first.id);
            assert_eq!(find(instance, settings, "other", &first.id).await.err(), Some(Problem::NoSuchJob));
            assert_eq!(find(instance, settings, "one", &first.id).await.expect("there").seen().status, "running");
        });
    }

    #[test]
    fn a_run_that_was_replaced_does_not_end_the_one_that_replaced_it() {
        in_an_instance(async |instance, settings| {
            let (before, _) = begun(instance, settings, "one", "before").await;
            let (after, new) = begun(instance, settings, "one", "after an invalidation").await;
            assert!(new && after.id == before.id);
            finish(instance, settings, before, Outcome::Done(raw("\"old\""))).await;
            assert_eq!(find(instance, settings, "one", &after.id).await.expect("there").seen().status, "running");
            finish(instance, settings, after.clone(), Outcome::Done(raw("\"new\""))).await;
            let found = find(instance, settings, "one", &after.id).await.expect("there");
            assert_eq!(found.seen().result.map(RawValue::get), Some("\"new\""));
        });
    }

    #[test]
    fn a_run_that_never_ends_has_failed_and_is_forgotten_in_time() {
        in_an_instance(async |instance, settings| {
            let (job, _) = begun(instance, settings, "one", "g").await;
            let now = Timestamp::now().as_millisecond();
            for (fails_at, seen) in [(now - 1_000, Ok("failed")), (now - 61_000, Err(Problem::NoSuchJob))] {
                write(instance, settings, &Job { fails_at, ..job.clone() }).await.expect("written");
                let found = find(instance, settings, "one", &job.id).await;
                assert_eq!(found.map(|job| job.seen().status), seen);
            }
            assert!(!instance.platform.stored.borrow().contains_key(&key(&job.id)), "it is deleted");
        });
    }

    #[test]
    fn a_record_that_is_corrupt_or_was_copied_is_none() {
        in_an_instance(async |instance, settings| {
            let (job, _) = begun(instance, settings, "one", "g").await;
            let written = serde_json::to_vec(&job).expect("JSON");
            assert!(read(&written, &job.id).is_some());
            assert!(read(&written, "another").is_none());
            assert!((0..written.len()).all(|end| read(&written[..end], &job.id).is_none()));
            for id in ["", "x", "../generation", &job.id.to_uppercase(), &format!("{}0", job.id)] {
                assert_eq!(find(instance, settings, "one", id).await.err(), Some(Problem::NoSuchJob), "{id}");
            }
        });
    }
}
