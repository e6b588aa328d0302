//! Background predictions: a job says in the store how far it is.
//!
//! A question has one job, however many times its caller asks it. While it runs, asking again gives the same job; once
//! it has ended, asking again runs it anew. A run has an id of its own, and ends only a record that still has it.
//!
//! A job has one of a few *places* in the store that its person's hash chooses, so that all about a person can be found
//! and erased. In a key-value store these are slots that others use too: a job takes one that is free, else that of
//! whichever ended first, and if jobs run in all of them there is no place for another. Two that start at the same
//! moment may take the same place. Whoever asks for the one that lost it is told that there is no such job, and asks
//! again. The end of a job whose record is gone is not written: its person may have been erased.
//!
//! An instance may die at any time, and nobody notices: a run has a deadline, and one that has not ended by then has
//! failed. The store does not keep the person that a job is about, but a keyed hash. It keeps a hash of the caller who
//! started it, because nobody else may read it.
//!
//! An outcome is worth no more than an entry of the cache: it is read only under the generation that it began under,
//! and one that was made from the rows that a caller's own token showed only while that token shows them still. So the
//! caller is given the person with the id, masked, for it to be asked whom the job is about when it is read.

use crate::config::Settings;
use crate::deadline::Deadline;
use crate::http::problem_response::problem_json;
use crate::ids::{UserId, WindowDays};
use crate::platform::Platform;
use crate::problem::Problem;
use crate::store::{Failure, Kind, Store};
use crate::telemetry::log;
use crate::telemetry::metrics::{self, JOBS};
use crate::time::{after, monotonic_now, now_ms, rfc3339_seconds};
use features::{CheckIn, Language};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::rc::Rc;
use std::time::Duration;
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
    /// Half of the person's hash, which says where the job is kept, and half of the question's.
    id: String,
    /// The id that the caller has: this one, and the person, masked.
    #[serde(skip)]
    public_id: String,
    /// Tells runs of one question apart.
    run: String,
    /// The caller who started it, hashed.
    owner: String,
    /// The generation in the cache before the run: after an invalidation it is another question.
    pub(crate) generation: String,
    /// The rows that it was made from, where they are for this caller alone.
    pub(crate) shown: Option<ShownRows>,
    created_at: i64,
    /// The time after which a run that has not ended has failed.
    fails_at: i64,
    ended: Option<Ended>,
}

/// The rows that a caller's own token showed.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct ShownRows {
    /// The question for them.
    window_days: u8,
    pub(crate) limit_checkins: u8,
    /// Their hash.
    hash: String,
}

impl ShownRows {
    /// The rows of a question, which are hashed.
    pub(crate) fn new<P: Platform>(store: &Store<P>, window: WindowDays, limit_checkins: u8, rows: &[CheckIn]) -> Self {
        // Of a missing answer there are many forms, of which this prints one.
        let hash = store.hash(&format!("rows:{rows:?}"));
        ShownRows { window_days: window.get(), limit_checkins, hash }
    }

    pub(crate) fn window(&self) -> Option<WindowDays> {
        WindowDays::new(self.window_days)
    }
}

/// The end of a run.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Ended {
    at: i64,
    outcome: JobOutcome,
}

/// The outcome of a run.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum JobOutcome {
    Done {
        /// The answer, as its endpoint keeps it.
        result: Box<RawValue>,
        /// The moment from which nobody is told it, because its check-ins are too old. In milliseconds since 1970-01-01
        /// UTC.
        usable_until: Option<i64>,
    },
    /// The problem, by [`Language`].
    Failed([Box<RawValue>; Language::ALL.len()]),
}

impl JobOutcome {
    pub(crate) fn failed(problem: &Problem) -> JobOutcome {
        JobOutcome::Failed(Language::ALL.map(|language| problem_json(problem, language)))
    }

    pub(crate) fn status(&self) -> JobStatus {
        match self {
            JobOutcome::Done { .. } => JobStatus::Done,
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
    pub(crate) created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) finished_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) result: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<Box<RawValue>>,
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

    /// Starts a job for a caller's question about a person. The question may name the person: it is hashed. Returns
    /// `None` if there is no place for it.
    pub(crate) async fn start(
        &self,
        settings: &Settings,
        caller: &str,
        (person, question): (UserId, &str),
        generation: &str,
    ) -> Result<Option<Started>, Failure> {
        let owner = self.owner(caller);
        let mut id = self.store.hash_person(person);
        id.replace_range(HALF.., &self.store.hash(&format!("job:{caller}:{question}"))[HALF..]);
        let now = now_ms();
        let places = self.places(settings, &id).await?;
        let before = places.iter().find(|place| place.has(&id)).and_then(|place| place.job.as_ref());
        if let Some(job) =
            before.filter(|job| job.is_running(now) && job.generation == generation && job.owner == owner)
        {
            let public_id = self.public_id(&id, person);
            return Ok(Some(Started::Before(Job { public_id, ..job.clone() })));
        }
        let Some(key) = choose(&places, &id, now) else { return Ok(None) };
        let deadline = Deadline::new(monotonic_now(), settings.inference_timeout);
        let job = Job {
            public_id: self.public_id(&id, person),
            id,
            shown: None,
            run: Uuid::new_v4().to_string(),
            owner,
            generation: generation.to_owned(),
            created_at: now,
            fails_at: after(now, settings.inference_timeout + GRACE),
            ended: None,
        };
        self.set(settings, key, &job).await?;
        metrics::add(&JOBS, &["started"], 1);
        Ok(Some(Started::Now(job, deadline)))
    }

    /// Writes the outcome of a run, unless a later run has taken its place.
    pub(crate) async fn finish(&self, settings: &Settings, job: Job, outcome: JobOutcome) {
        metrics::add(&JOBS, &[outcome.status().name()], 1);
        let job = Job { ended: Some(Ended { at: now_ms(), outcome }), ..job };
        let mut cause = "it ended too late";
        // A record that is not there may not have arrived yet; but its person may have been erased: it is not made
        // anew.
        for attempt in 0..WRITE_ATTEMPTS {
            if attempt > 0 {
                self.platform.sleep(WRITE_BACKOFF).await;
            }
            let now = now_ms();
            if now >= job.fails_at {
                // Whoever looked has been told that it failed.
                break;
            }
            cause = match self.places(settings, &job.id).await {
                Ok(places) => match places.iter().find(|place| place.has(&job.id)) {
                    Some(place) if place.job.as_ref().is_some_and(|other| other.run != job.run) => return,
                    Some(place) => match self.set(settings, &place.key, &job).await {
                        Ok(()) => return,
                        Err(failure) => failure.cause(),
                    },
                    None => "its record is gone",
                },
                Err(failure) => failure.cause(),
            };
        }
        log::warning("job_not_written", "the end of a background prediction could not be written", cause);
    }

    /// Finds the job of an id and the person that it is about, for the caller who started it and as long as it is kept.
    /// Errors for everyone else as if it had never been. What has been invalidated since is found too.
    pub(crate) async fn find(
        &self,
        settings: &Settings,
        caller: &str,
        public_id: &str,
    ) -> Result<(Job, UserId), Problem> {
        let (id, person) = self.parse_id(public_id).ok_or(Problem::NoSuchJob)?;
        let places = self.places(settings, id).await.map_err(|failure| {
            failure.warn("job_not_read", "a background prediction could not be read");
            Problem::StoreUnavailable
        })?;
        let owner = self.owner(caller);
        let now = now_ms();
        let is_kept = |job: &Job| now < after(job.ended_at(), settings.job_ttl) && !job.is_too_old(now);
        let is_found = |job: &Job| job.id == id && job.owner == owner && is_kept(job);
        let found = places.into_iter().filter_map(|place| place.job).find(is_found).ok_or(Problem::NoSuchJob)?;
        Ok((Job { public_id: public_id.to_owned(), ..found }, person))
    }

    /// The id that a caller is given: the job's own, and the person that it is about, which the store does not keep.
    /// They are masked, as ids come into the logs of others.
    fn public_id(&self, id: &str, person: UserId) -> String {
        let masked = UserId::masked(person.as_bytes(), &self.mask(id));
        id.to_owned() + &base16ct::lower::encode_string(masked.as_bytes())
    }

    /// Parses an id of a caller into the job's own and the person; `None` if the two do not fit.
    fn parse_id<'a>(&self, public_id: &'a str) -> Option<(&'a str, UserId)> {
        let (id, masked) = public_id.split_at_checked(ID_DIGITS)?;
        let (mut bytes, mut unused) = ([0; 16], [0; 16]);
        base16ct::lower::decode(id, &mut unused).ok().filter(|_| id.len() == ID_DIGITS)?;
        base16ct::lower::decode(masked, &mut bytes).ok().filter(|_| masked.len() == ID_DIGITS)?;
        let person = UserId::masked(&bytes, &self.mask(id));
        (self.store.hash_person(person).get(..HALF) == id.get(..HALF)).then_some((id, person))
    }

    fn mask(&self, id: &str) -> [u8; 16] {
        let mut mask = [0; 16];
        // A hash has as many digits.
        let _ = base16ct::lower::decode(self.store.hash(&format!("job's person:{id}")), &mut mask);
        mask
    }

    /// Deletes every job about a person under this layout or, where the store's keys are listed, under the others that
    /// those are of; returns how many there were. One that runs ends without a record.
    pub(crate) async fn erase(&self, person: UserId, listed: Option<&[String]>) -> Result<usize, Failure> {
        let hash = self.store.hash_person(person);
        let is_about = |job: Job| usize::from(job.id.get(..HALF) == hash.get(..HALF));
        let keys = self.store.keys_to_erase(listed, Kind::Job, hash.get(..HALF).unwrap_or_default());
        self.store.erase(&keys, |record| Job::parse(record).map(is_about)).await
    }

    fn owner(&self, caller: &str) -> String {
        self.store.hash(&format!("owner:{caller}"))
    }

    /// The places that a job of this id can have, and what is there. A record that is corrupt is nothing.
    async fn places(&self, settings: &Settings, id: &str) -> Result<Vec<Place>, Failure> {
        let keys = self.store.job_keys(id.get(..HALF).unwrap_or_default());
        let values = self.store.get_all(&keys.iter().map(String::as_str).collect::<Vec<_>>()).await?;
        let place = |(key, value): (String, Option<Vec<u8>>)| {
            let job = value
                .and_then(|value| self.store.open(&key, value, kept(settings)))
                .and_then(|record| Job::parse(&record));
            Place { key, job }
        };
        Ok(keys.into_iter().zip(values).map(place).collect())
    }

    async fn set(&self, settings: &Settings, key: &str, job: &Job) -> Result<(), Failure> {
        // A record of texts and numbers can always be serialized.
        let record = serde_json::to_vec(job).unwrap_or_default();
        self.store.set_sealed(key, &record, kept(settings)).await
    }
}

/// The time for which the store keeps a record.
fn kept(settings: &Settings) -> Duration {
    settings.inference_timeout + GRACE + settings.job_ttl
}

/// The digits of a job's own id.
const ID_DIGITS: usize = 32;
/// Those of them that are the person's.
const HALF: usize = 16;

/// A place that a job can have.
struct Place {
    key: String,
    job: Option<Job>,
}

impl Place {
    /// The job of this id is there.
    fn has(&self, id: &str) -> bool {
        self.job.as_ref().is_some_and(|job| job.id == id)
    }
}

/// Chooses the key for a job: where it was before, else a free one, else that of a job which has ended, the longest ago
/// first. Jobs that start at the same moment begin to look at different places.
fn choose<'a>(places: &'a [Place], id: &str, now: i64) -> Option<&'a str> {
    let first = id.get(HALF..).map_or(0, |digits| digits.bytes().map(usize::from).sum());
    if let Some(place) = places.iter().find(|place| place.has(id)) {
        return Some(&place.key);
    }
    let in_turn = places.iter().cycle().skip(first % places.len().max(1)).take(places.len());
    let can_be_taken = in_turn.filter(|place| place.job.as_ref().is_none_or(|job| !job.is_running(now)));
    let best = can_be_taken.min_by_key(|place| place.job.as_ref().map_or(i64::MIN, Job::ended_at));
    best.map(|place| place.key.as_str())
}

impl Job {
    /// Parses a record, or returns `None` if it is corrupt.
    pub fn parse(record: &[u8]) -> Option<Job> {
        if record.len() > MAX_RECORD_BYTES {
            return None;
        }
        serde_json::from_slice(record).ok()
    }

    /// Returns true if there is an outcome about the person to read.
    pub(crate) fn has_result(&self) -> bool {
        matches!(&self.ended, Some(Ended { outcome: JobOutcome::Done { .. }, .. }))
    }

    /// The job with the rows that its outcome was made from, where they are for its caller alone.
    pub(crate) fn made_from(self, shown: Option<ShownRows>) -> Job {
        Job { shown, ..self }
    }

    /// The job without its outcome, which nobody may read any more.
    pub(crate) fn outdated(self) -> Job {
        let outcome = JobOutcome::failed(&Problem::JobOutdated);
        Job { ended: self.ended.map(|Ended { at, .. }| Ended { at, outcome }), ..self }
    }

    /// Renders the job as its caller sees it, without the answer.
    pub fn render(&self) -> Vec<u8> {
        serde_json::to_vec(&self.view(Language::English)).unwrap_or_default()
    }

    /// The answer that it was run for, as its endpoint keeps it.
    pub(crate) fn result(&self) -> Option<&RawValue> {
        match &self.ended.as_ref()?.outcome {
            JobOutcome::Done { result, .. } => Some(result),
            JobOutcome::Failed(_) => None,
        }
    }

    /// The time at which it ended, or at which it has failed if it does not end.
    fn ended_at(&self) -> i64 {
        self.ended.as_ref().map_or(self.fails_at, |ended| ended.at)
    }

    fn is_running(&self, now: i64) -> bool {
        self.ended.is_none() && now < self.fails_at
    }

    /// Returns true if the check-ins that its outcome rests on have become too old.
    fn is_too_old(&self, now: i64) -> bool {
        match self.ended.as_ref().map(|ended| &ended.outcome) {
            Some(JobOutcome::Done { usable_until, .. }) => usable_until.is_some_and(|until| now >= until),
            _ => false,
        }
    }

    /// The job as its caller sees it, without the answer.
    pub(crate) fn view(&self, language: Language) -> JobView<'_> {
        match &self.ended {
            Some(Ended { at, outcome }) => match outcome {
                JobOutcome::Done { .. } => self.view_as(JobStatus::Done, Some(*at), None),
                JobOutcome::Failed(errors) => {
                    self.view_as(JobStatus::Failed, Some(*at), Some(errors[language as usize].clone()))
                }
            },
            None if self.is_running(now_ms()) => self.view_as(JobStatus::Running, None, None),
            None => self.lost(language),
        }
    }

    /// The job as its caller sees it if it, or its answer, came to nothing.
    pub(crate) fn lost(&self, language: Language) -> JobView<'_> {
        self.view_as(JobStatus::Failed, Some(self.ended_at()), Some(problem_json(&Problem::JobLost, language)))
    }

    fn view_as(&self, status: JobStatus, finished_at: Option<i64>, error: Option<Box<RawValue>>) -> JobView<'_> {
        let time = |time| Timestamp::from_millisecond(time).map(rfc3339_seconds).unwrap_or_default();
        let (created_at, finished_at) = (time(self.created_at), finished_at.map(time));
        JobView { id: &self.public_id, status, created_at, finished_at, result: None, error }
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
            let store = fake.store(&settings);
            let jobs = Jobs::new(fake.clone(), store);
            test(&fake, &jobs, &settings).await;
        });
    }

    fn person() -> UserId {
        UserId::parse("11111111-1111-4111-8111-111111111111").expect("an id")
    }

    /// The key of the place that a job is in.
    async fn key_of(jobs: &Jobs<Fake>, settings: &Settings, job: &Job) -> String {
        let places = jobs.places(settings, &job.id).await.expect("read");
        let place = places.into_iter().find(|place| place.job.as_ref().is_some_and(|other| other.id == job.id));
        place.expect("a place").key
    }

    async fn start(jobs: &Jobs<Fake>, settings: &Settings, caller: &str, generation: &str) -> (Job, bool) {
        match jobs.start(settings, caller, (person(), "question"), generation).await.expect("started") {
            Some(Started::Now(job, _)) => (job, true),
            Some(Started::Before(job)) => (job, false),
            None => panic!("no place"),
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
            assert_eq!(jobs.find(settings, "other", &first.public_id).await.err(), Some(Problem::NoSuchJob));
            assert_eq!(
                jobs.find(settings, "one", &first.public_id).await.expect("there").0.view(Language::English).status,
                JobStatus::Running
            );
        });
    }

    #[test]
    fn a_run_that_was_replaced_does_not_end_the_one_that_replaced_it() {
        with_jobs(async |_, jobs, settings| {
            let (before, _) = start(jobs, settings, "one", "before").await;
            let (after, is_new) = start(jobs, settings, "one", "after an invalidation").await;
            assert!(is_new && after.id == before.id);
            jobs.finish(settings, before, done("\"old\"", None)).await;
            assert_eq!(
                jobs.find(settings, "one", &after.public_id).await.expect("there").0.view(Language::English).status,
                JobStatus::Running
            );
            jobs.finish(settings, after.clone(), done("\"new\"", None)).await;
            let (found, about) = jobs.find(settings, "one", &after.public_id).await.expect("there");
            assert!(about == person());
            assert_eq!(found.result().map(RawValue::get), Some("\"new\""));
        });
    }

    fn done(json: &str, usable_until: Option<i64>) -> JobOutcome {
        JobOutcome::Done { result: raw(json), usable_until }
    }

    #[test]
    fn an_outcome_is_told_for_no_longer_than_its_check_ins_are_recent_enough() {
        with_jobs(async |_, jobs, settings| {
            let now = now_ms();
            for (usable_until, is_told) in [(None, true), (Some(now + 60_000), true), (Some(now - 1), false)] {
                let (job, _) = start(jobs, settings, "one", "g").await;
                jobs.finish(settings, job.clone(), done("{}", usable_until)).await;
                let found = jobs.find(settings, "one", &job.public_id).await;
                assert_eq!(found.err(), if is_told { None } else { Some(Problem::NoSuchJob) });
            }
        });
    }

    #[test]
    fn a_person_has_few_places_and_a_job_that_runs_keeps_its_own() {
        with_jobs(async |_, jobs, settings| {
            let mut running = Vec::new();
            for caller in ["one", "two", "three", "four"] {
                running.push((caller, start(jobs, settings, caller, "g").await.0));
            }
            for (caller, job) in &running {
                assert!(jobs.find(settings, caller, &job.public_id).await.is_ok(), "{caller}");
            }
            let fifth = jobs.start(settings, "five", (person(), "question"), "g").await.expect("read");
            assert!(fifth.is_none(), "every place has a job that runs");
            let (_, ended) = &running[2];
            jobs.finish(settings, ended.clone(), done("1", None)).await;
            let (fifth, _) = start(jobs, settings, "five", "g").await;
            assert_eq!(jobs.find(settings, "three", &ended.public_id).await.err(), Some(Problem::NoSuchJob));
            assert!(jobs.find(settings, "five", &fifth.public_id).await.is_ok());
            assert_eq!(jobs.erase(person(), None).await, Ok(4));
            assert_eq!(jobs.find(settings, "five", &fifth.public_id).await.err(), Some(Problem::NoSuchJob));
        });
    }

    #[test]
    fn a_run_that_never_ends_has_failed_and_is_forgotten_in_time() {
        with_jobs(async |_, jobs, settings| {
            let (job, _) = start(jobs, settings, "one", "g").await;
            let key = key_of(jobs, settings, &job).await;
            let now = now_ms();
            for (fails_at, status) in [(now - 1_000, Ok(JobStatus::Failed)), (now - 61_000, Err(Problem::NoSuchJob))] {
                jobs.set(settings, &key, &Job { fails_at, ..job.clone() }).await.expect("written");
                let found = jobs.find(settings, "one", &job.public_id).await;
                assert_eq!(found.map(|(job, _)| job.view(Language::English).status), status);
            }
        });
    }

    #[test]
    fn neither_an_id_nor_a_record_names_the_person() {
        with_jobs(async |fake, jobs, settings| {
            let (job, _) = start(jobs, settings, "one", "g").await;
            let bytes = base16ct::lower::encode_string(person().as_bytes());
            assert!(!job.public_id.contains(&bytes));
            let id = person();
            let holds = |value: &[u8], text: &[u8]| value.windows(text.len()).any(|part| part == text);
            let is_person = |value: &[u8]| {
                let texts = [bytes.as_bytes(), id.as_bytes(), &job.public_id.as_bytes()[ID_DIGITS..]];
                texts.into_iter().any(|text| holds(value, text))
            };
            assert!(!fake.stored.borrow().values().any(|value| is_person(value)));
        });
    }

    #[test]
    fn a_record_that_is_corrupt_and_an_id_that_is_none_are_no_job() {
        with_jobs(async |_, jobs, settings| {
            let (job, _) = start(jobs, settings, "one", "g").await;
            let written = serde_json::to_vec(&job).expect("JSON");
            assert!(Job::parse(&written).is_some());
            assert!((0..written.len()).all(|end| Job::parse(&written[..end]).is_none()));
            let id = &job.public_id;
            assert!(jobs.find(settings, "one", id).await.is_ok());
            let other = if id.ends_with('0') { "1" } else { "0" };
            let of_another = format!("{}{other}", &id[..id.len() - 1]);
            for id in ["", "x", "../generation", &id.to_uppercase(), &format!("{id}0"), &job.id, &of_another] {
                assert_eq!(jobs.find(settings, "one", id).await.err(), Some(Problem::NoSuchJob), "{id}");
            }
        });
    }
}
