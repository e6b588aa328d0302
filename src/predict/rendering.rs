//! Predictions as JSON, in the language of the answer.

use super::explanation::explain_in_words;
use super::numbers::{
    Basis, Bits, Contribution, Explain, Judgement, Outcome, Prediction, PredictionsAt, UNKNOWN_LEVEL, judge,
};
use crate::ids::{as_optional_text, as_text};
use crate::time::age_days;
use bipolar_edge_models::{Model, Output, RiskLevel};
use features::{Clauses, FEATURES, Language, MadeAt, answer_label, day_in_words};
use jiff::civil::Date;
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use uuid::Uuid;

/// The fewest rows of which answers say how often it was so: with fewer, a share says little.
const MIN_OBSERVED_ROWS: u32 = 30;

/// Words by [`Language`].
type Texts = [&'static str; Language::ALL.len()];

const DISCLAIMER: Texts = [
    "This is a statistical estimate, not a diagnosis. If you or someone else may be in danger, contact one of these \
     services now.",
    "Esta é uma estimativa estatística, não um diagnóstico. Se você ou outra pessoa estiver em perigo, procure um destes \
     serviços agora.",
];
const INSUFFICIENT_DATA: Texts = ["not enough data", "dados insuficientes"];
const TIMEOUT: Texts = ["out of time", "tempo esgotado"];
const UNKNOWN: Texts = ["unknown", "desconhecido"];
const NO_CHECKINS: Texts = ["There are no check-ins to predict from.", "Não há check-ins para fazer uma previsão."];
const MISSING_ANSWERS: Texts = ["Not enough answers. Missing: ", "Faltam respostas: "];
const OUT_OF_TIME: Texts =
    ["There was no time left for this prediction: try again.", "Não houve tempo para esta previsão: tente novamente."];

/// The facts beside the numbers that answers are rendered with.
#[derive(Clone, Copy)]
pub(crate) struct Rendering<'a> {
    pub(crate) language: Language,
    pub(crate) explain: Explain,
    pub(crate) crisis_resources: &'a [String],
    /// The day on which check-ins have the age that answers say.
    pub(crate) today: Date,
}

/// The predictions of some types at one check-in, as JSON.
pub(crate) struct PredictionSequence<'a> {
    pub(crate) at: &'a PredictionsAt,
    pub(crate) types: &'a [&'static Model],
    pub(crate) basis: Basis,
    pub(crate) rendering: Rendering<'a>,
}

impl Serialize for PredictionSequence<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(None)?;
        for (_, body) in self.bodies() {
            sequence.serialize_element(&body)?;
        }
        sequence.end()
    }
}

/// A prediction as JSON.
#[derive(Serialize)]
pub(crate) struct Body<'a> {
    #[serde(rename = "type")]
    prediction_type: &'static str,
    #[serde(serialize_with = "as_text")]
    pub(crate) decision_id: Uuid,
    pub(crate) label: &'static str,
    pub(crate) probability: Option<f64>,
    pub(crate) observed: Option<Observed>,
    pub(crate) risk_level: &'static str,
    pub(crate) display: Display,
    details: Details<'a>,
    model_version: &'static str,
    #[serde(serialize_with = "as_optional_text")]
    pub(crate) as_of: Option<Date>,
    #[serde(serialize_with = "as_optional_text")]
    pub(crate) valid_until: Option<Date>,
    data: Data,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) explanation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    contributions: Option<Contributions<'a>>,
    source: &'static str,
    // The words that must stand beside a prediction that could do harm.
    #[serde(skip_serializing_if = "Option::is_none")]
    sensitive: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) disclaimer: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resources: Option<&'a [String]>,
}

/// How often it was so where such a probability was predicted.
#[derive(Serialize)]
pub(crate) struct Observed {
    rate: f64,
    n: u32,
}

/// The words for people.
#[derive(Serialize)]
pub(crate) struct Display {
    #[serde(rename = "type")]
    pub(crate) prediction_type: &'static str,
    label: &'static str,
    pub(crate) risk_level: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    classes: Option<ClassNames>,
}

/// The words for each class.
struct ClassNames {
    model: &'static Model,
    classes: &'static [&'static str],
    language: Language,
}

impl Serialize for ClassNames {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let words = |class| self.model.display_label(class, self.language);
        serializer.collect_map(self.classes.iter().map(|class| (class, words(class))))
    }
}

/// The part of a prediction that depends on its model's kind.
enum Details<'a> {
    None,
    Predicted(&'static Model, &'a [Bits]),
}

impl Serialize for Details<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if let Details::Predicted(model, probabilities) = self {
            match &model.output {
                Output::Classes { classes, .. } => {
                    map.serialize_entry("class_probs", &ClassProbabilities(classes, probabilities))?;
                }
                Output::Risk { decision_threshold, horizon_days, .. } => {
                    map.serialize_entry("decision_threshold", decision_threshold)?;
                    map.serialize_entry("horizon_days", horizon_days)?;
                }
            }
        }
        map.end()
    }
}

struct ClassProbabilities<'a>(&'a [&'static str], &'a [Bits]);

impl Serialize for ClassProbabilities<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().zip(self.1.iter().map(|probability| probability.0)))
    }
}

/// How much a prediction rests on.
#[derive(Serialize)]
struct Data {
    checkins: usize,
    days_covered: usize,
    answered: f64,
    age_days: Option<i64>,
}

/// The reason why there is no prediction. The codes are a closed set, which the OpenAPI description lists.
#[derive(Serialize)]
pub(crate) struct Reason {
    pub(crate) code: &'static str,
    pub(crate) detail: String,
    missing: Vec<&'static str>,
}

/// Contributions as JSON.
struct Contributions<'a>(&'a [Contribution]);

#[derive(Serialize)]
struct ContributionBody {
    feature: &'static str,
    /// `null` where it is missing.
    value: Option<f32>,
    impact: f32,
}

impl Serialize for Contributions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|contribution| ContributionBody {
            feature: feature_name(contribution.place),
            value: (!contribution.value.is_nan()).then_some(contribution.value),
            impact: contribution.impact,
        }))
    }
}

fn feature_name(place: usize) -> &'static str {
    FEATURES.get(place).map_or("", |feature| feature.name)
}

impl Body<'_> {
    /// The probability of each class; nothing for a risk, or where there is no prediction.
    pub(crate) fn class_probabilities(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let of = match &self.details {
            Details::Predicted(Model { output: Output::Classes { classes, .. }, .. }, probabilities) => {
                Some((*classes, *probabilities))
            }
            _ => None,
        };
        let (classes, probabilities) = of.unwrap_or_default();
        classes.iter().copied().zip(probabilities.iter().map(|probability| probability.0))
    }
}

impl PredictionSequence<'_> {
    /// Each model of the types with its prediction as JSON.
    pub(crate) fn bodies(&self) -> impl Iterator<Item = (&'static Model, Body<'_>)> {
        let all = self.at.iter().zip(self.at.decision_ids());
        let chosen = all.filter(|((model, _), _)| self.types.iter().any(|other| other.name == model.name));
        chosen.map(|((model, prediction), id)| (model, self.body(model, prediction, id)))
    }

    fn body<'a>(&'a self, model: &'static Model, prediction: &'a Prediction, decision_id: Uuid) -> Body<'a> {
        let Rendering { language, explain, crisis_resources, today } = self.rendering;
        let coverage = self.at.coverage;
        let predicted = match &prediction.outcome {
            Outcome::Predicted { probabilities, contributions } => Some((&probabilities[..], &contributions[..])),
            _ => None,
        };
        let judged = predicted.map(|(probabilities, _)| judge(model, probabilities));
        let risk_level = judged.as_ref().map(|judged| judged.risk_level);
        Body {
            prediction_type: model.name,
            decision_id,
            label: prediction.label(model),
            probability: judged.as_ref().map(|judged| judged.probability),
            observed: judged.as_ref().and_then(|judged| observed(model, judged)),
            risk_level: risk_level.map_or(UNKNOWN_LEVEL, RiskLevel::as_str),
            display: prediction.display(model, language),
            details: predicted.map_or(Details::None, |(probabilities, _)| Details::Predicted(model, probabilities)),
            model_version: model.version,
            as_of: self.at.as_of(),
            valid_until: self.at.valid_until(model),
            data: Data {
                checkins: coverage.map_or(0, |coverage| coverage.checkins),
                days_covered: coverage.map_or(0, |coverage| coverage.days),
                answered: f64::from(prediction.answered) / 100.0,
                age_days: coverage.map(|coverage| age_days(coverage.as_of, today)),
            },
            reason: self.reason(model, prediction),
            explanation: predicted.zip(judged.as_ref()).filter(|_| explain > Explain::None).map(
                |((_, contributions), judged)| {
                    let days = coverage.map_or(0, |coverage| coverage.days);
                    let clauses = Clauses { language, days, made_at: self.made_at() };
                    explain_in_words(model, judged.label, contributions, &clauses)
                },
            ),
            contributions: predicted
                .filter(|_| explain == Explain::Contributions)
                .map(|(_, contributions)| Contributions(contributions)),
            source: match self.basis {
                _ if matches!(prediction.outcome, Outcome::OutOfTime) => "error",
                Basis::LatestCheckIn => "aggregated_last_checkin",
                Basis::CheckIn => "checkin",
            },
            sensitive: model.sensitive.then_some(true),
            disclaimer: model.sensitive.then_some(DISCLAIMER[language as usize]),
            resources: model.sensitive.then_some(crisis_resources),
        }
    }
}

impl PredictionSequence<'_> {
    /// The check-in that the features are of, as sentences tell it.
    fn made_at(&self) -> MadeAt {
        match (self.basis, self.at.as_of()) {
            (Basis::CheckIn, _) => MadeAt::Earlier,
            (Basis::LatestCheckIn, Some(as_of)) if age_days(as_of, self.rendering.today) > 0 => MadeAt::Latest,
            (Basis::LatestCheckIn, _) => MadeAt::Today,
        }
    }
}

fn observed(model: &Model, judged: &Judgement) -> Option<Observed> {
    let (rate, n) = model.observed(judged.probability).filter(|(_, rows)| *rows >= MIN_OBSERVED_ROWS)?;
    Some(Observed { rate, n })
}

impl Prediction {
    /// The words for people.
    pub(crate) fn display(&self, model: &'static Model, language: Language) -> Display {
        let judged = self.judgement(model);
        let label = match (&self.outcome, &judged) {
            (_, Some(judged)) => model.display_label(judged.label, language),
            (Outcome::OutOfTime, None) => TIMEOUT[language as usize],
            _ => INSUFFICIENT_DATA[language as usize],
        };
        let classes = match (model.output, &judged) {
            (Output::Classes { classes, .. }, Some(_)) => Some(ClassNames { model, classes, language }),
            _ => None,
        };
        let risk_level = judged.map_or(UNKNOWN[language as usize], |judged| level_words(judged.risk_level, language));
        Display { prediction_type: model.display_name(language), label, risk_level, classes }
    }
}

fn level_words(level: RiskLevel, language: Language) -> &'static str {
    let words: Texts = match level {
        RiskLevel::Low => ["low", "baixo"],
        RiskLevel::Medium => ["medium", "médio"],
        RiskLevel::High => ["high", "alto"],
        RiskLevel::Critical => ["critical", "crítico"],
    };
    words[language as usize]
}

impl PredictionSequence<'_> {
    /// The reason why there is no prediction, if there is none.
    fn reason(&self, model: &Model, prediction: &Prediction) -> Option<Reason> {
        let (language, coverage) = (self.rendering.language, self.at.coverage);
        let plain = |texts: Texts| texts[language as usize].to_owned();
        let mut missing = Vec::new();
        let detail = match &prediction.outcome {
            Outcome::Predicted { .. } => return None,
            Outcome::Insufficient { missing: places } if places.is_empty() => plain(NO_CHECKINS),
            Outcome::Insufficient { missing: places } => {
                missing.extend(places.iter().map(|place| feature_name(*place)));
                let mut labels: Vec<String> = Vec::new();
                for label in places.iter().map(|place| answer_label(*place, language)) {
                    // Several statistics are of one answer.
                    if !labels.contains(&label) {
                        labels.push(label);
                    }
                }
                format!("{}{}.", MISSING_ANSWERS[language as usize], labels.join("; "))
            }
            Outcome::Stale { max_days } => {
                let as_of = self.at.as_of().map_or_else(String::new, |as_of| day_in_words(as_of, language));
                stale(&as_of, *max_days, language)
            }
            Outcome::TooFewDays => {
                let (days, least) = (coverage.map_or(0, |coverage| coverage.checkins), model.min_days);
                match language {
                    Language::English => {
                        format!("The window has check-ins on too few days: {days}, and {least} are needed.")
                    }
                    Language::Portuguese => {
                        format!("O período tem check-ins em poucos dias: {days} de {least} necessários.")
                    }
                }
            }
            Outcome::TooFewAnswers { missing: places } => {
                missing.extend(places.iter().map(|place| feature_name(*place)));
                too_few_answers(prediction.answered, 100.0 * model.min_answered, language)
            }
            Outcome::OutOfTime => plain(OUT_OF_TIME),
        };
        Some(Reason { code: prediction.reason_code()?, detail, missing })
    }
}

fn stale(as_of: &str, max_days: u32, language: Language) -> String {
    let is_one = max_days == 1;
    match language {
        Language::English => {
            let days = if is_one { "day" } else { "days" };
            format!("The latest check-in is of {as_of}, more than {max_days} {days} ago.")
        }
        Language::Portuguese => {
            let days = if is_one { "dia" } else { "dias" };
            format!("O último check-in é de {as_of}, há mais de {max_days} {days}.")
        }
    }
}

fn too_few_answers(share: u8, least: f64, language: Language) -> String {
    match language {
        Language::English => format!("Not enough answers: {share}% of the inputs are known, {least:.0}% are needed."),
        Language::Portuguese => {
            format!("Faltam respostas: só {share}% das informações foram preenchidas; são necessários {least:.0}%.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::some_predictions;
    use super::*;
    use bipolar_edge_models::MODELS;
    use features::feature_index;
    use serde_json::{Value, json};
    use std::time::Duration;

    fn rendered(at: &PredictionsAt, language: Language, explain: Explain) -> Value {
        let types: Vec<&'static Model> = MODELS.iter().collect();
        let resources = ["CVV 188".to_owned()];
        let rendering =
            Rendering { language, explain, crisis_resources: &resources, today: Date::constant(2026, 2, 2) };
        let sequence = PredictionSequence { at, types: &types, basis: Basis::LatestCheckIn, rendering };
        serde_json::to_value(sequence).expect("JSON")
    }

    fn first(outcome: Outcome, language: Language) -> Value {
        let prediction = Prediction { outcome, answered: 0, duration: Duration::ZERO };
        let at = PredictionsAt { decision: Uuid::nil(), coverage: None, predictions: vec![prediction] };
        rendered(&at, language, Explain::Sentence)[0].clone()
    }

    #[test]
    fn a_prediction_that_was_not_made_says_why_in_both_languages() {
        let [late, tarde] = Language::ALL.map(|language| first(Outcome::OutOfTime, language));
        assert_eq!((&late["label"], &late["source"]), (&"timeout".into(), &"error".into()));
        assert_eq!(late["reason"]["code"], "out_of_time");
        assert_eq!(
            (&late["display"]["label"], &tarde["display"]["label"]),
            (&"out of time".into(), &"tempo esgotado".into())
        );
        assert_eq!(tarde["label"], "timeout", "labels are of no language");
        let none = first(Outcome::Insufficient { missing: Vec::new() }, Language::English);
        assert_eq!((&none["label"], &none["risk_level"]), (&"insufficient_data".into(), &"unknown".into()));
        let no_checkins =
            json!({ "code": "no_checkins", "detail": "There are no check-ins to predict from.", "missing": [] });
        assert_eq!(none["reason"], no_checkins);
        let missing = ["depressedMood_mean", "energyLevel", "energyLevel_trend"];
        let some =
            || Outcome::Insufficient { missing: missing.iter().filter_map(|name| feature_index(name)).collect() };
        for (language, detail) in Language::ALL.into_iter().zip([
            "Not enough answers. Missing: depressed mood; energy.",
            "Faltam respostas: humor deprimido; energia.",
        ]) {
            let expected = json!({ "code": "missing_answers", "detail": detail, "missing": missing });
            assert_eq!(first(some(), language)["reason"], expected);
        }
        let few = first(Outcome::TooFewAnswers { missing: vec![0] }, Language::English);
        assert_eq!(few["reason"]["missing"], json!([FEATURES[0].name]));
        let days = ["31 January 2026", "31 de janeiro de 2026"];
        let said = |max_days| Language::ALL.map(|language| stale(days[language as usize], max_days, language));
        assert_eq!(
            said(1),
            [
                "The latest check-in is of 31 January 2026, more than 1 day ago.",
                "O último check-in é de 31 de janeiro de 2026, há mais de 1 dia."
            ]
        );
        assert!(said(7)[0].contains("7 days") && said(7)[1].contains("7 dias"));
        assert_eq!(
            (&none["probability"], &none["as_of"], &none["observed"]),
            (&Value::Null, &Value::Null, &Value::Null)
        );
        assert!(none.get("explanation").is_none());
    }

    #[test]
    fn check_ins_have_the_age_that_they_have_on_the_day_of_the_answer() {
        let kept = some_predictions(Explain::None);
        let types: Vec<&'static Model> = MODELS.iter().collect();
        let rendering =
            |today| Rendering { language: Language::English, explain: Explain::None, crisis_resources: &[], today };
        for (day, age) in [(30, 0), (31, 0), (32, 1), (59, 28)] {
            let today = Date::constant(2026, 1, 1).checked_add(jiff::Span::new().days(day - 1)).expect("in range");
            let sequence = PredictionSequence {
                at: &kept,
                types: &types,
                basis: Basis::LatestCheckIn,
                rendering: rendering(today),
            };
            let answered = serde_json::to_value(sequence).expect("JSON");
            assert_eq!(answered[0]["data"]["age_days"], age, "{today}: one of tomorrow is of somebody's today");
        }
    }

    #[test]
    fn an_answer_has_what_it_was_asked_for_however_much_is_kept() {
        for language in Language::ALL {
            let mut all = some_predictions(Explain::Contributions);
            for explain in [Explain::None, Explain::Sentence, Explain::Contributions] {
                let own = some_predictions(explain);
                all.decision = own.decision;
                let own = rendered(&own, language, explain);
                assert_eq!(rendered(&all, language, explain), own, "{explain:?}");
                let one = &own[0];
                assert_eq!(one.get("explanation").is_some(), explain > Explain::None);
                assert_eq!(one.get("contributions").is_some(), explain == Explain::Contributions);
            }
        }
    }

    #[test]
    fn what_was_observed_stands_beside_a_probability_where_there_are_rows_enough() {
        let mut compared = 0;
        let predictions = rendered(&some_predictions(Explain::None), Language::English, Explain::None);
        for prediction in predictions.as_array().expect("all") {
            let model = Model::find(prediction["type"].as_str().expect("a type")).expect("a model");
            let Some(probability) = prediction["probability"].as_f64() else { continue };
            let bin = model.observed(probability).filter(|(_, rows)| *rows >= MIN_OBSERVED_ROWS);
            let expected = bin.map_or(Value::Null, |(rate, n)| json!({ "rate": rate, "n": n }));
            assert_eq!(prediction["observed"], expected);
            compared += 1;
        }
        assert!(compared > 2, "{compared}");
        // By its card 5 rows were in the sixth tenth, which is too few to speak of.
        let relapse = Model::find("relapse_risk").expect("a shipped model");
        assert_eq!(relapse.observed(0.52), Some((0.2, 5)));
        assert_eq!(relapse.observed(0.65), None, "no row at all");
        assert_eq!(relapse.observed(f64::NAN), None);
    }
}
