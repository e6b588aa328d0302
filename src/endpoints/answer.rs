//! The body of an answer with predictions, rendered from numbers for the question that was asked.

use crate::cache::{CODE_FINGERPRINT, CheckInEntry, Entry};
use crate::context::RequestContext;
use crate::http::response::CacheStatus;
use crate::ids::WindowDays;
use crate::platform::Platform;
use crate::predict::{Basis, Explain, PredictionSequence, PredictionsAt, Rendering};
use crate::request::PredictionOptions;
use bipolar_edge_models::{FINGERPRINT, Model};
use features::Language;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Says why an answer is stale, by [`Language`].
const STALE: [&str; Language::ALL.len()] = [
    "The database cannot be reached: these predictions were made before, from the check-ins of then.",
    "Não foi possível alcançar o banco de dados: estas previsões foram feitas antes, com os check-ins daquele momento.",
];

/// The body of an answer.
#[derive(Serialize)]
pub(super) struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) user_id: Option<String>,
    window_days: u8,
    generated_at: &'a str,
    /// The age of a stale answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    age_seconds: Option<u64>,
    /// The reason why an answer is stale.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<&'static str>,
    predictions: PredictionSequence<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_checkin: Option<Vec<PerCheckIn<'a>>>,
    /// The check-ins that were dropped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) warnings: Vec<String>,
}

#[derive(Serialize)]
struct PerCheckIn<'a> {
    checkin_id: &'a str,
    checkin_date: &'a str,
    predictions: PredictionSequence<'a>,
}

impl<'a> Body<'a> {
    /// The body that answers with these options, out of predictions of every type.
    pub(super) fn new(
        rendering: Rendering<'a>,
        options: &'a PredictionOptions,
        generated_at: &'a str,
        (latest, per_checkin): (&'a PredictionsAt, &'a [CheckInEntry]),
    ) -> Body<'a> {
        let sequence = |at, basis| PredictionSequence { at, types: &options.types, basis, rendering };
        let latest_checkins = per_checkin.iter().take(usize::from(options.limit_checkins));
        let per_checkin = latest_checkins.map(|checkin| PerCheckIn {
            checkin_id: &checkin.checkin_id,
            checkin_date: &checkin.checkin_date,
            predictions: sequence(&checkin.at, Basis::CheckIn),
        });
        Body {
            user_id: None,
            window_days: options.window.get(),
            generated_at,
            age_seconds: None,
            warning: None,
            predictions: sequence(latest, Basis::LatestCheckIn),
            per_checkin: (options.limit_checkins > 0).then(|| per_checkin.collect()),
            warnings: Vec::new(),
        }
    }

    /// The body that answers a question with an entry, which is of this age if it is stale.
    pub(super) fn of_entry(
        rendering: Rendering<'a>,
        options: &'a PredictionOptions,
        entry: &'a Entry,
        age_seconds: Option<u64>,
    ) -> Body<'a> {
        Body {
            warning: age_seconds.map(|_| stale_warning(rendering.language)),
            age_seconds,
            ..Body::new(rendering, options, &entry.generated_at, (&entry.latest, &entry.per_checkin))
        }
    }
}

/// An answer as a job keeps it: numbers, to be rendered in the language of whoever fetches it.
#[derive(Deserialize, Serialize)]
pub(super) struct KeptAnswer {
    /// The release whose models made the numbers, which another's cannot judge.
    release: String,
    types: Vec<String>,
    window_days: u8,
    limit_checkins: u8,
    explain: Explain,
    age_seconds: Option<u64>,
    entry: Entry,
}

const RELEASE: [&str; 2] = [FINGERPRINT, CODE_FINGERPRINT];

impl KeptAnswer {
    pub(super) fn new(options: &PredictionOptions, entry: Entry, cache_status: CacheStatus) -> KeptAnswer {
        KeptAnswer {
            release: RELEASE.concat(),
            types: options.types.iter().map(|model| model.name.to_owned()).collect(),
            window_days: options.window.get(),
            limit_checkins: options.limit_checkins,
            explain: options.explain,
            age_seconds: stale_seconds(cache_status),
            entry,
        }
    }

    /// The moment from which nobody is told it, because its check-ins are too old.
    pub(super) fn usable_until(&self) -> Option<i64> {
        self.entry.usable_until
    }

    fn options(&self) -> Option<PredictionOptions> {
        Some(PredictionOptions {
            types: self.types.iter().filter_map(|name| Model::find(name)).collect(),
            window: WindowDays::new(self.window_days)?,
            limit_checkins: self.limit_checkins,
            explain: self.explain,
        })
    }
}

/// Renders the answer that a job keeps. The store does not keep the person that it is about. Returns `None` if it is of
/// another release, or corrupt.
pub(super) fn render_kept<P: Platform>(context: &RequestContext<P>, kept: &RawValue) -> Option<Box<RawValue>> {
    let kept: KeptAnswer = serde_json::from_slice(kept.get().as_bytes()).ok()?;
    let options = kept.options().filter(|_| kept.release == RELEASE.concat() && kept.entry.is_whole())?;
    let body = Body::of_entry(context.rendering(kept.explain), &options, &kept.entry, kept.age_seconds);
    serde_json::value::to_raw_value(&body).ok()
}

/// Says why an answer is stale.
pub(super) fn stale_warning(language: Language) -> &'static str {
    STALE[language as usize]
}

/// The age of a stale answer, in seconds.
pub(super) fn stale_seconds(cache_status: CacheStatus) -> Option<u64> {
    if let CacheStatus::Stale { age } = cache_status { Some(age.as_secs()) } else { None }
}
