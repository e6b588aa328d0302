//! The invariants of every FHIR bundle of this service.

use crate::PERSON;
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;
use std::collections::BTreeSet;

/// Asserts that a body is a bundle of risk assessments about the person, and returns the probabilities of each, in
/// percent.
pub fn assessments(body: &[u8]) -> Vec<Vec<f64>> {
    let bundle: Value = serde_json::from_slice(body).expect("JSON");
    assert_eq!((&bundle["resourceType"], &bundle["type"]), (&"Bundle".into(), &"collection".into()));
    assert!(is_time(&bundle["timestamp"]), "{bundle}");
    let mut urls = BTreeSet::new();
    let mut all = Vec::new();
    for entry in bundle["entry"].as_array().expect("an array of entries") {
        let url = entry["fullUrl"].as_str().expect("a URL");
        assert!(url.starts_with("urn:uuid:") && urls.insert(url.to_owned()), "{url} is there twice");
        match entry["resource"]["resourceType"].as_str() {
            Some("RiskAssessment") => all.push(assessment(url, &entry["resource"])),
            kind => assert_eq!(kind, Some("OperationOutcome")),
        }
    }
    assert!(!all.is_empty(), "{bundle}");
    all
}

/// Asserts that a resource is a risk assessment, and returns its probabilities, in percent.
fn assessment(url: &str, resource: &Value) -> Vec<f64> {
    assert_eq!(resource["subject"]["identifier"]["value"], format!("urn:uuid:{PERSON}"));
    assert_eq!(format!("urn:uuid:{}", resource["id"].as_str().expect("an id")), url);
    assert!(is_time(&resource["occurrenceDateTime"]), "{resource}");
    let predictions = resource["prediction"].as_array().expect("an array of predictions");
    assert!(!predictions.is_empty());
    let mut probabilities = Vec::new();
    for prediction in predictions {
        assert!(prediction["outcome"]["text"].as_str().is_some_and(|text| !text.is_empty()), "{resource}");
        if let Some(period) = prediction.get("whenPeriod") {
            let day = |name: &str| period[name].as_str().and_then(|day| day.parse::<Date>().ok()).expect("a day");
            assert!(day("start") <= day("end"), "{period}");
        }
        let probability = prediction["probabilityDecimal"].as_f64();
        assert!(probability.is_some() != prediction.get("_probabilityDecimal").is_some(), "{resource}");
        assert!(probability.is_none_or(|percent| (0.0..=100.0).contains(&percent)), "{resource}");
        probabilities.extend(probability);
    }
    let status = if probabilities.is_empty() { "cancelled" } else { "final" };
    assert_eq!(resource["status"], status);
    assert!(probabilities.is_empty() || probabilities.len() == predictions.len(), "{resource}");
    probabilities
}

fn is_time(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.parse::<Timestamp>().is_ok())
}
