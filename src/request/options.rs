//! The options of a question, which a query and a body have alike.

use crate::ids::WindowDays;
use crate::predict::Explain;
use bipolar_edge_models::{MODELS, Model};

/// The predictions that a request asks for.
#[derive(Debug)]
pub(crate) struct PredictionOptions {
    /// The models to answer with, in the registry's order, none twice.
    pub(crate) types: Vec<&'static Model>,
    pub(crate) window: WindowDays,
    /// Also predict at each of this many latest check-ins: 0 to 10.
    pub(crate) limit_checkins: u8,
    pub(crate) explain: Explain,
}

/// The most latest check-ins that predictions may be asked for at.
const MAX_LIMIT_CHECKINS: u8 = 10;

impl Default for PredictionOptions {
    fn default() -> PredictionOptions {
        PredictionOptions {
            types: MODELS.iter().collect(),
            window: WindowDays::DEFAULT,
            limit_checkins: 0,
            explain: Explain::default(),
        }
    }
}

/// Parses a comma-separated list of prediction types.
pub(super) fn parse_types(text: &str) -> Result<Vec<&'static Model>, String> {
    let wanted: Vec<&str> = text.split(',').map(str::trim).collect();
    if wanted.iter().any(|name| Model::find(name).is_none()) {
        let known = MODELS.iter().map(|model| model.name).collect::<Vec<_>>().join(", ");
        return Err(format!("must be a comma-separated list of {known}"));
    }
    Ok(MODELS.iter().filter(|model| wanted.contains(&model.name)).collect())
}

fn parse_whole_number(text: &str, min: u8, max: u8) -> Result<u8, String> {
    let number = text.parse().ok().filter(|number| (min..=max).contains(number));
    // `parse` takes a leading plus, which in a query is a space that somebody forgot to escape.
    number.filter(|_| !text.starts_with('+')).ok_or_else(|| format!("must be a whole number from {min} to {max}"))
}

pub(super) fn parse_window(text: &str) -> Result<WindowDays, String> {
    let days = parse_whole_number(text, WindowDays::MIN.get(), WindowDays::MAX.get())?;
    WindowDays::new(days).ok_or_else(|| "is out of range".to_owned())
}

pub(super) fn parse_limit_checkins(text: &str) -> Result<u8, String> {
    parse_whole_number(text, 0, MAX_LIMIT_CHECKINS)
}

pub(super) fn parse_explain(text: &str) -> Result<Explain, String> {
    match text {
        "true" => Ok(Explain::Contributions),
        "false" => Ok(Explain::Sentence),
        "none" => Ok(Explain::None),
        _ => Err("must be true, false or none".to_owned()),
    }
}
