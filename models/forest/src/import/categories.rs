//! Categories that have values of their own in a file: pandas gives each a code, and trees split by codes. Callers send
//! values, so a set of codes becomes one of values.

use super::ImportError;
use serde_json::Value;

/// The next whole number is not an f32.
const MAX_CATEGORIES: usize = 1 << 24;

const ADVICE: &str = "train it on whole numbers from 0 in place of them, as in `frame[column].cat.codes`, and say that they \
                      are categories (LightGBM: `categorical_feature=[...]`; XGBoost: `feature_types=[..., \"c\", ...]`), \
                      because callers send numbers";

/// The values of each feature's categories, by their codes; `None` where a code is the value.
#[derive(Default)]
pub(super) struct Categories(Vec<Option<Vec<usize>>>);

impl Categories {
    /// Takes the values of a feature's categories from a list. Errors if one is not a whole number from 0.
    pub(super) fn add(&mut self, feature: usize, values: &[Value], place: &str) -> Result<(), ImportError> {
        let value = |value: &Value| match value {
            Value::Bool(value) => Ok(usize::from(*value)),
            Value::String(text) => Err(format!("a category is the text {text:?}: {ADVICE}")),
            value => {
                let number = value.as_f64().filter(|x| x.fract() == 0.0 && (0.0..MAX_CATEGORIES as f64).contains(x));
                number.map(|x| x as usize).ok_or_else(|| format!("the category {value} cannot be told apart: {ADVICE}"))
            }
        };
        let values: Result<Vec<usize>, String> = values.iter().map(value).collect();
        let values = values.map_err(|reason| ImportError::new(place, reason))?;
        if values.iter().enumerate().any(|(code, value)| code != *value) {
            self.0.resize(self.0.len().max(feature + 1), None);
            self.0[feature] = Some(values);
        }
        Ok(())
    }

    /// Returns the value of a feature's category. Errors if the feature has no such code.
    pub(super) fn value(&self, feature: usize, code: usize) -> Result<usize, String> {
        match self.0.get(feature) {
            Some(Some(values)) => values.get(code).copied().ok_or_else(|| format!("there is no category {code}")),
            _ => Ok(code),
        }
    }

    /// Tells if a feature's categories have values of their own.
    pub(super) fn has_values(&self, feature: usize) -> bool {
        self.0.get(feature).is_some_and(Option::is_some)
    }
}

/// Returns how many words the sets of categories may take of a file of so many bytes. One high category takes few bytes
/// in the file and many in a set.
pub(super) fn set_words(file_bytes: usize) -> usize {
    file_bytes.saturating_mul(64)
}

/// A set of categories, as bits.
#[derive(Clone, Default)]
pub(super) struct CategorySet(pub(super) Vec<u32>);

impl CategorySet {
    /// Adds a category. Errors if it is too high, or if the set needs more words than there are left.
    pub(super) fn insert(&mut self, category: usize, words_left: &mut usize) -> Result<(), String> {
        if category >= MAX_CATEGORIES {
            return Err(format!("category {category} is not below 2^24"));
        }
        let more = (category / 32 + 1).saturating_sub(self.0.len());
        *words_left =
            words_left.checked_sub(more).ok_or("the categories are so high that their sets would dwarf the file")?;
        self.0.resize(self.0.len() + more, 0);
        self.0[category / 32] |= 1 << (category % 32);
        Ok(())
    }
}
