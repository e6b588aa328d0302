//! Predictions as FHIR R4: a `Bundle` of `RiskAssessment`s, for clinical systems that ask with
//! `accept: application/fhir+json`.
//!
//! The bundle is a `collection`: a `searchset` would be the answer to a search by FHIR's own parameters, with its
//! matches counted and linked, which this service does not offer. A prediction that was not made is an assessment that
//! was `cancelled`, with the reason in place of the probability. Nothing here is a `mitigation`: the service recommends
//! no treatment.

use crate::cache::Entry;
use crate::http::Response;
use crate::http::headers::FHIR_JSON;
use crate::http::problem_response::OperationOutcome;
use crate::ids::{UserId, as_text};
use crate::predict::{Basis, Body, Explain, PredictionSequence, Rendering};
use bipolar_edge_models::{Model, Output};
use features::Language;
use jiff::civil::Date;
use serde::{Serialize, Serializer};
use uuid::Uuid;

/// The system of identifiers that are URIs.
const URI: &str = "urn:ietf:rfc:3986";
const RISK_PROBABILITY: &str = "http://terminology.hl7.org/CodeSystem/risk-probability";
/// The system of the names of prediction types and of labels.
const NAMES: &str = "urn:bipolar-edge:name";
const DATA_ABSENT_REASON: &str = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";

/// A question about a person.
pub(super) struct FhirQuestion<'a> {
    pub(super) person: UserId,
    pub(super) types: &'a [&'static Model],
    /// The number of latest check-ins that are predicted at too.
    pub(super) limit_checkins: u8,
    pub(super) explain: Explain,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Bundle<'a> {
    resource_type: &'static str,
    #[serde(rename = "type")]
    bundle_type: &'static str,
    timestamp: &'a str,
    entry: Vec<BundleEntry<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BundleEntry<'a> {
    full_url: String,
    resource: Resource<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Resource<'a> {
    Assessment(Box<RiskAssessment<'a>>),
    Outcome(OperationOutcome<'a>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RiskAssessment<'a> {
    resource_type: &'static str,
    id: String,
    identifier: [Identifier; 1],
    status: &'static str,
    method: Text,
    code: Concept,
    subject: Subject,
    occurrence_date_time: &'a str,
    performer: Performer,
    prediction: Vec<Prediction>,
    note: Vec<Text>,
}

#[derive(Serialize)]
struct Identifier {
    system: &'static str,
    value: String,
}

impl Identifier {
    fn of_uuid(id: impl std::fmt::Display) -> Identifier {
        Identifier { system: URI, value: format!("urn:uuid:{id}") }
    }
}

/// An annotation, or a concept that has no code.
#[derive(Serialize)]
struct Text {
    text: String,
}

/// A concept: the name that answers give it in every language, and the words for it in that of the answer.
struct Concept {
    name: String,
    text: String,
}

impl Serialize for Concept {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Concept { name, text } = self;
        serde_json::json!({ "coding": [{ "system": NAMES, "code": name }], "text": text }).serialize(serializer)
    }
}

impl Text {
    fn new(text: impl Into<String>) -> Text {
        Text { text: text.into() }
    }
}

#[derive(Serialize)]
struct Subject {
    #[serde(rename = "type")]
    kind: &'static str,
    identifier: Identifier,
}

#[derive(Serialize)]
struct Performer {
    #[serde(rename = "type")]
    kind: &'static str,
    display: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Prediction {
    outcome: Concept,
    /// In percent, as the definition of RiskAssessment has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    probability_decimal: Option<f64>,
    #[serde(rename = "_probabilityDecimal", skip_serializing_if = "Option::is_none")]
    probability_absent: Option<AbsentReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    qualitative_risk: Option<QualitativeRisk>,
    #[serde(skip_serializing_if = "Option::is_none")]
    when_period: Option<Period>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rationale: Option<String>,
}

/// The reason why a value is absent, as the extension of it.
struct AbsentReason(&'static str);

impl Serialize for AbsentReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::json!({ "extension": [{ "url": DATA_ABSENT_REASON, "valueCode": self.0 }] }).serialize(serializer)
    }
}

/// A risk level, and the words for it.
struct QualitativeRisk(&'static str, &'static str);

impl Serialize for QualitativeRisk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let QualitativeRisk(level, words) = *self;
        // The code system has nothing above high but what is certain.
        let code = if level == "critical" { "high" } else { level };
        serde_json::json!({ "coding": [{ "system": RISK_PROBABILITY, "code": code }], "text": words })
            .serialize(serializer)
    }
}

#[derive(Clone, Serialize)]
struct Period {
    #[serde(serialize_with = "as_text")]
    start: Date,
    #[serde(serialize_with = "as_text")]
    end: Date,
}

/// The answer with an entry's predictions of the types that are asked for, at the latest check-in and at so many of the
/// latest.
pub(super) fn response(
    rendering: Rendering<'_>,
    asked: &FhirQuestion<'_>,
    entry: &Entry,
    warning: Option<&str>,
) -> Response {
    let at_check_ins = entry.per_checkin.iter().take(usize::from(asked.limit_checkins));
    let at_check_ins = at_check_ins.map(|checkin| (&checkin.at, Basis::CheckIn));
    let mut entries = Vec::new();
    for (at, basis) in std::iter::once((&entry.latest, Basis::LatestCheckIn)).chain(at_check_ins) {
        let sequence = PredictionSequence { at, types: asked.types, basis, rendering };
        entries.extend(sequence.bodies().map(|(model, answered)| BundleEntry {
            full_url: format!("urn:uuid:{}", answered.decision_id),
            resource: Resource::Assessment(Box::new(assessment(
                (asked.person, rendering.language),
                model,
                &answered,
                &entry.generated_at,
            ))),
        }));
    }
    entries.extend(warning.map(|warning| BundleEntry {
        full_url: format!("urn:uuid:{}", Uuid::new_v4()),
        resource: Resource::Outcome(OperationOutcome::warning(warning)),
    }));
    let timestamp = &entry.generated_at;
    let bundle = Bundle { resource_type: "Bundle", bundle_type: "collection", timestamp, entry: entries };
    Response::json(200, &bundle).with_content_type(FHIR_JSON)
}

fn assessment<'a>(
    (person, language): (UserId, Language),
    model: &Model,
    answered: &Body<'_>,
    made_at: &'a str,
) -> RiskAssessment<'a> {
    let id = answered.decision_id.to_string();
    let status = if answered.probability.is_some() { "final" } else { "cancelled" };
    let resources = answered.resources.unwrap_or_default().iter().map(String::as_str);
    let help = answered.disclaimer.into_iter().chain(resources);
    RiskAssessment {
        resource_type: "RiskAssessment",
        identifier: [Identifier::of_uuid(&id)],
        id,
        status,
        method: Text::new(format!("{} ({})", model.display_name(language), model.version)),
        code: Concept { name: model.name.to_owned(), text: answered.display.prediction_type.to_owned() },
        subject: Subject { kind: "Patient", identifier: Identifier::of_uuid(person) },
        occurrence_date_time: made_at,
        performer: Performer { kind: "Device", display: format!("bipolar-edge {}", env!("CARGO_PKG_VERSION")) },
        prediction: predictions(model, language, answered),
        note: help.chain(model.warnings.iter().copied()).map(Text::new).collect(),
    }
}

/// The outcomes that a model speaks of: its event, or each of its classes, that of the label first.
fn predictions(model: &Model, language: Language, answered: &Body<'_>) -> Vec<Prediction> {
    let when_period = answered.as_of.zip(answered.valid_until).map(|(start, end)| Period { start, end });
    let one = |outcome: &str, probability: Option<f64>| Prediction {
        outcome: Concept {
            name: outcome.to_owned(),
            text: format!("{}: {}", model.display_name(language), model.display_label(outcome, language)),
        },
        probability_decimal: probability.map(percent),
        probability_absent: None,
        qualitative_risk: None,
        when_period: when_period.clone(),
        rationale: None,
    };
    if let Some(reason) = &answered.reason {
        let outcome = if let Output::Risk { event, .. } = model.output { event } else { model.name };
        let absent = AbsentReason(if reason.code == "out_of_time" { "error" } else { "temp-unknown" });
        let rationale = Some(format!("{}: {}", reason.code, reason.detail));
        return vec![Prediction { probability_absent: Some(absent), rationale, ..one(outcome, None) }];
    }
    let mut rationale = answered.explanation.clone();
    match model.output {
        Output::Risk { event, .. } => {
            // A label may be that nothing is to be expected: the probability is always the event's.
            let qualitative_risk = Some(QualitativeRisk(answered.risk_level, answered.display.risk_level));
            vec![Prediction { qualitative_risk, rationale, ..one(event, answered.probability) }]
        }
        Output::Classes { .. } => {
            let mut classes: Vec<(&str, f64)> = answered.class_probabilities().collect();
            classes.sort_by_key(|(class, _)| *class != answered.label);
            let of_class = |(class, probability): (&str, f64)| Prediction {
                rationale: rationale.take(),
                ..one(class, Some(probability))
            };
            classes.into_iter().map(of_class).collect()
        }
    }
}

/// Returns a probability in percent, to a millionth of one: it has no more digits that say anything.
fn percent(probability: f64) -> f64 {
    (probability * 1e8).round() / 1e6
}
