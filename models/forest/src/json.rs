//! Numbers that JSON has no notation for, which Python and XGBoost write as bare words: `NaN`, `Infinity`, `-Infinity`.

use std::borrow::Cow;
use std::ops::Range;

/// The words that Python's `json` writes.
const PYTHON: [&str; 3] = ["NaN", "Infinity", "-Infinity"];
/// The words that XGBoost's releases have written: C++'s own spellings, and those of its JSON writer.
#[cfg(feature = "import")]
const XGBOOST: [&str; 8] = ["-Infinity", "Infinity", "-NaN", "NaN", "-inf", "inf", "-nan", "nan"];

/// Puts Python's `NaN`, `Infinity` and `-Infinity` into quotation marks, so that a parser of JSON sees which one it
/// was. Strings are left alone, and so is everything else that is no JSON: the parser refuses it.
///
/// ```
/// let json = forest::json::quote_bare_numbers(br#"{"NaN": [NaN, -Infinity, 1.5]}"#);
/// assert_eq!(&json[..], br#"{"NaN": ["NaN", "-Infinity", 1.5]}"#);
/// ```
pub fn quote_bare_numbers(json: &[u8]) -> Cow<'_, [u8]> {
    // Most bodies have none of the words, and need no scan of their strings.
    if !json.iter().any(|byte| matches!(byte, b'N' | b'I')) {
        return Cow::Borrowed(json);
    }
    replace(json, &PYTHON, |word, out| {
        out.push(b'"');
        out.extend_from_slice(word);
        out.push(b'"');
    })
}

/// Replaces XGBoost's words for numbers that are not finite by `null`.
#[cfg(feature = "import")]
pub(crate) fn nullify_bare_numbers(json: &[u8]) -> Cow<'_, [u8]> {
    replace(json, &XGBOOST, |_, out| out.extend_from_slice(b"null"))
}

/// Replaces each of the words where it stands outside of strings by what `write` adds to the output.
fn replace<'a>(json: &'a [u8], words: &[&str], write: impl Fn(&[u8], &mut Vec<u8>)) -> Cow<'a, [u8]> {
    let mut out = Vec::new();
    let mut copied = 0;
    while let Some(word) = next_bare_word(json, copied, words) {
        if copied == 0 {
            // A quoted word is two bytes longer, and seldom is more than one in eight bytes.
            out.reserve(json.len() + json.len() / 4);
        }
        out.extend_from_slice(&json[copied..word.start]);
        write(&json[word.clone()], &mut out);
        copied = word.end;
    }
    if copied == 0 {
        return Cow::Borrowed(json);
    }
    out.extend_from_slice(&json[copied..]);
    Cow::Owned(out)
}

/// Returns where the next of the words stands outside of strings. `from` is itself outside of strings.
fn next_bare_word(json: &[u8], from: usize, words: &[&str]) -> Option<Range<usize>> {
    let mut at = from;
    let mut in_string = false;
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => in_string = !in_string,
            // An escaped quotation mark does not end the string.
            b'\\' if in_string => at += 1,
            b'-' | b'A'..=b'Z' | b'a'..=b'z' if !in_string => {
                let word = words.iter().find(|word| json[at..].starts_with(word.as_bytes()));
                if let Some(word) = word {
                    return Some(at..at + word.len());
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(json: &str) -> String {
        String::from_utf8(quote_bare_numbers(json.as_bytes()).into_owned()).expect("UTF-8")
    }

    #[test]
    fn words_outside_of_strings_are_quoted() {
        for (json, expected) in [
            ("[NaN,Infinity,-Infinity]", r#"["NaN","Infinity","-Infinity"]"#),
            ("NaN", r#""NaN""#),
            (r#"{"a": NaN, "NaN": 1}"#, r#"{"a": "NaN", "NaN": 1}"#),
            (r#"["\" NaN", NaN]"#, r#"["\" NaN", "NaN"]"#),
            (r#"["\\", NaN]"#, r#"["\\", "NaN"]"#),
            (r#"["\\\" NaN"]"#, r#"["\\\" NaN"]"#),
            ("[NaNNaN, 1NaN]", r#"["NaN""NaN", 1"NaN"]"#),
            // Python writes no sign before NaN: what is left is refused by the parser.
            ("[-NaN]", r#"[-"NaN"]"#),
            ("[inf, nan, -inf, Inf, null]", "[inf, nan, -inf, Inf, null]"),
        ] {
            assert_eq!(quoted(json), expected, "{json}");
        }
    }

    #[test]
    fn text_that_ends_within_a_string_an_escape_or_a_word_is_left_as_it_is() {
        for json in ["\"NaN", "\"NaN\\", "\\", "Na", "-Infinit", "\u{e4}N", ""] {
            assert_eq!(quoted(json), json);
        }
    }

    #[test]
    fn nothing_is_copied_without_a_bare_word() {
        for json in [&b"[1, 2]"[..], br#"{"Name": "NaN"}"#, b""] {
            assert!(matches!(quote_bare_numbers(json), Cow::Borrowed(same) if same == json));
        }
    }

    #[cfg(feature = "import")]
    #[test]
    fn every_spelling_of_xgboost_is_null() {
        let json = br#"{"a": [NaN, -NaN, nan, -nan, inf, -inf, Infinity, -Infinity, 1], "inf": "NaN \" inf"}"#;
        let expected = br#"{"a": [null, null, null, null, null, null, null, null, 1], "inf": "NaN \" inf"}"#;
        assert_eq!(&nullify_bare_numbers(json)[..], expected);
    }
}
