//! The options of a question, which a query and a body have alike.

use crate::ids::WindowDays;
use crate::predict::Explain;
use crate::problem::Text;
use bipolar_edge_models::{MODELS, Model};
use features::Language;

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
pub(super) fn parse_types(text: &str) -> Result<Vec<&'static Model>, Text> {
    let wanted: Vec<&str> = text.split(',').map(str::trim).collect();
    if wanted.iter().any(|name| Model::find(name).is_none()) {
        let known = MODELS.iter().map(|model| model.name).collect::<Vec<_>>().join(", ");
        let english = format!("must be a comma-separated list of {known}");
        return Err(Text::new(english, format!("deve ser uma lista separada por vírgulas de {known}")));
    }
    Ok(MODELS.iter().filter(|model| wanted.contains(&model.name)).collect())
}

fn parse_whole_number(text: &str, min: u8, max: u8) -> Result<u8, Text> {
    let number = text.parse().ok().filter(|number| (min..=max).contains(number));
    // `parse` takes a leading plus, which in a query is a space that somebody forgot to escape.
    number.filter(|_| !text.starts_with('+')).ok_or_else(|| not_whole(min.into(), max.into()))
}

/// The message about what is no whole number of a range.
pub(super) fn not_whole(min: u64, max: u64) -> Text {
    let english = format!("must be a whole number from {min} to {max}");
    Text::new(english, format!("deve ser um número inteiro de {min} a {max}"))
}

pub(super) fn parse_window(text: &str) -> Result<WindowDays, Text> {
    let days = parse_whole_number(text, WindowDays::MIN.get(), WindowDays::MAX.get())?;
    WindowDays::new(days).ok_or_else(|| Text::new("is out of range", "está fora do intervalo"))
}

pub(super) fn parse_limit_checkins(text: &str) -> Result<u8, Text> {
    parse_whole_number(text, 0, MAX_LIMIT_CHECKINS)
}

pub(super) fn parse_explain(text: &str) -> Result<Explain, Text> {
    match text {
        "true" => Ok(Explain::Contributions),
        "false" => Ok(Explain::Sentence),
        "none" => Ok(Explain::None),
        _ => Err(Text::new("must be true, false or none", "deve ser true, false ou none")),
    }
}

/// Parses the language of an answer's texts.
pub(super) fn parse_language(text: &str) -> Result<Language, Text> {
    let known = Language::ALL.into_iter().find(|language| language.tag() == text);
    known.ok_or_else(|| Text::new("must be en or pt-BR", "deve ser en ou pt-BR"))
}
