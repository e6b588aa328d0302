//! A record of each prediction that was made, for whoever has to explain or review one later: a line of the log, with
//! the id that the prediction carries. A cached answer makes none; its request's line names the ids.
//!
//! It is written whatever `log_level` is, unless `decision_log` is off. People are keyed hashes in it, and so is what a
//! prediction was made from: who has the key and the check-ins can tell that it was made from these, and nobody else
//! what they were.

use super::log;
use crate::access::Caller;
use crate::config::Settings;
use crate::ids::{UserId, as_optional_text, as_text};
use crate::platform::Platform;
use crate::predict::PredictionsAt;
use crate::store::Store;
use bipolar_edge_models::{FINGERPRINT, Model};
use features::{Language, Row};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;
use uuid::Uuid;

/// The one who asks, and the person that the question is about.
pub(crate) struct Question<'a> {
    pub(crate) caller: &'a Caller,
    pub(crate) person: Option<UserId>,
    pub(crate) source: Option<&'static str>,
    /// The language that it is answered in.
    pub(crate) language: Language,
}

/// The fields of a line. The release's fingerprint is the models' and the cards'.
#[derive(Serialize)]
struct Decision<'a> {
    #[serde(serialize_with = "as_text")]
    decision_id: Uuid,
    #[serde(rename = "type")]
    prediction_type: &'static str,
    model_version: &'static str,
    models_fingerprint: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    role: &'static str,
    language: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inputs: Option<&'a str>,
    #[serde(serialize_with = "as_optional_text", skip_serializing_if = "Option::is_none")]
    as_of: Option<Date>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f64>,
    /// The reason why there is no prediction.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// The number of rows, where they were a caller's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<usize>,
}

/// Records predictions that were made from one row of features, or from no check-ins.
pub(crate) fn record<P: Platform>(
    (settings, store): (&Settings, &Store<P>),
    question: &Question<'_>,
    row: Option<&Row>,
    predictions: &PredictionsAt,
) {
    if !settings.decision_log {
        return;
    }
    let user = question.person.and_then(|person| store.hash_for_log(person));
    let inputs = row.and_then(|row| store.input_digest(row.iter().map(|value| f64::from(*value))));
    let time = Timestamp::now();
    for ((model, prediction), id) in predictions.iter().zip(predictions.decision_ids()) {
        let label = prediction.label(model);
        let decision = Decision {
            user: user.as_deref(),
            inputs: inputs.as_deref(),
            as_of: predictions.as_of(),
            label: Some(label),
            probability: prediction.probability(model),
            reason: prediction.reason_code(),
            ..of_model(model, id, question)
        };
        log::record(time, "decision", &decision, || {
            let outcome = prediction.reason_code().unwrap_or(label);
            format!("decision {id}: {} {outcome}", model.version)
        });
    }
}

/// Records that a model answered rows of a caller's own, whose meaning it does not know: all of them in one line.
pub(crate) fn record_rows<P: Platform>(
    (settings, store): (&Settings, &Store<P>),
    (caller, language): (&Caller, Language),
    (model, decision_id): (&Model, Uuid),
    (rows, inputs): (usize, &[f64]),
) {
    if !settings.decision_log {
        return;
    }
    let inputs = store.input_digest(inputs.iter().copied());
    let question = Question { caller, person: None, source: Some("rows"), language };
    let decision = Decision { inputs: inputs.as_deref(), rows: Some(rows), ..of_model(model, decision_id, &question) };
    let text = || format!("decision {decision_id}: {} answered {rows} rows", model.version);
    log::record(Timestamp::now(), "decision", &decision, text);
}

fn of_model<'a>(model: &Model, decision_id: Uuid, question: &Question<'_>) -> Decision<'a> {
    Decision {
        decision_id,
        prediction_type: model.name,
        model_version: model.version,
        models_fingerprint: FINGERPRINT,
        user: None,
        role: question.caller.role(question.person),
        language: question.language.tag(),
        source: question.source,
        inputs: None,
        as_of: None,
        label: None,
        probability: None,
        reason: None,
        rows: None,
    }
}
