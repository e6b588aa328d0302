//! Files that people mistake for a model file, each with the sentence that helps.

use super::document::is_json;
use crate::json::nullify_bare_numbers;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// An object at the top of a JSON file.
#[derive(Debug, PartialEq)]
pub(super) enum Object {
    /// XGBoost's, whose keys are in whatever order.
    Learner,
    /// CatBoost's.
    CatBoost,
    /// No model that can be read, for this reason.
    Foreign(&'static str),
}

/// An object's values by their keys, none of them parsed yet.
type Members<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

fn members(json: &str) -> Option<Members<'_>> {
    serde_json::from_str(json).ok()
}

/// Recognizes a JSON object, whatever its first key. `None` if nothing is known of it.
pub(super) fn recognize_object(bytes: &[u8]) -> Option<Object> {
    if !is_json(bytes)? {
        // UBJSON, which XGBoost alone writes.
        return Some(Object::Learner);
    }
    let finite = nullify_bare_numbers(bytes);
    let top = members(std::str::from_utf8(&finite).ok()?)?;
    if let Some(learner) = top.get("learner") {
        let learner = members(learner.get());
        let booster = learner.as_ref().and_then(|learner| members(learner.get("gradient_booster")?.get()));
        // Of dart both have trees' parameters in there, and the model its trees.
        let has_model = |gbtree: &&RawValue| members(gbtree.get()).is_none_or(|gbtree| gbtree.contains_key("model"));
        let has_trees =
            |booster: Members<'_>| booster.contains_key("model") || booster.get("gbtree").is_some_and(has_model);
        return Some(match booster.is_none_or(has_trees) {
            true => Object::Learner,
            false => Object::Foreign(
                "this is XGBoost's configuration, which `save_config` gives and which has no trees: save the model \
                 with `booster.save_model(\"model.json\")`",
            ),
        });
    }
    if top.contains_key("features_info") && (top.contains_key("oblivious_trees") || top.contains_key("trees")) {
        return Some(Object::CatBoost);
    }
    if top.contains_key("tree_info") && top.get("name").is_some_and(|name| name.get() == "\"tree\"") {
        return Some(Object::Foreign(
            "this is what LightGBM's `dump_model` gives, whose numbers are rounded: save the model with \
             `booster.save_model(\"model.txt\")`, or `model.booster_.save_model(\"model.txt\")` of a scikit-learn \
             estimator",
        ));
    }
    top.is_empty().then_some(Object::Foreign("an empty object is no model"))
}

/// Recognizes a file that is no JSON object by how it begins. `None` if nothing is known of it.
pub(super) fn recognize(bytes: &[u8]) -> Option<&'static str> {
    const PICKLE: &str = "this is a Python pickle (joblib writes them too), which runs code when it is read: load it in \
                          Python and save the model itself, as in `model = joblib.load(\"model.pkl\")` and \
                          `model.booster_.save_model(\"model.txt\")` for LightGBM, `model.save_model(\"model.json\")` for \
                          XGBoost, `model.save_model(\"model.json\", format=\"json\")` for CatBoost; of scikit-learn's \
                          own models write `skl2onnx.to_onnx(model, rows[:1], options={\"zipmap\": \
                          False}).SerializeToString()` to model.onnx (docs/MODELS.md has it whole)";
    const UTF_16: &str = "this text is in UTF-16: save it as UTF-8";
    const COMPRESSED: &str = "this file is compressed: unpack it first";
    const DUMP: &str = "this is what XGBoost's `dump_model` or `get_dump` gives, whose numbers are rounded: save the model \
                        with `booster.save_model(\"model.json\")`";
    let text = bytes.trim_ascii_start();
    let begins =
        |prefix: &str| text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()));
    Some(match bytes {
        _ if text.is_empty() => "the file is empty",
        [0x80, 2..=5, ..] => PICKLE,
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => UTF_16,
        [0x1f, 0x8b, ..] | [b'P', b'K', 3, 4, ..] | [b'B', b'Z', b'h', ..] => COMPRESSED,
        [0xfd, b'7', b'z', b'X', ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => COMPRESSED,
        // What joblib compresses with unless it is told otherwise.
        [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => PICKLE,
        _ if begins("version https://git-lfs") => "this is a Git LFS pointer in place of the file: run `git lfs pull`",
        _ if begins("<!doctype html") || begins("<html") => "this is a web page: the download went wrong",
        _ if bytes.starts_with(b"CBM1") => {
            "this is CatBoost's binary format: save the model with `model.save_model(\"model.json\", format=\"json\")`"
        }
        _ if begins("booster[") => DUMP,
        // The texts of `get_dump`, joined.
        _ if begins("0:[") || begins("0:leaf=") => DUMP,
        _ if begins("[") && text.windows(8).take(256).any(|window| window == b"\"nodeid\"") => DUMP,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use crate::import::{Options, read};

    #[test]
    fn files_that_are_taken_for_models_are_refused_each_with_its_own_sentence() {
        for (bytes, sentence) in [
            (&b""[..], "empty"),
            (b" \n", "empty"),
            (b"\x80\x04\x95", "pickle"),
            (b"\x78\x9c\x00", "pickle"),
            (b"\x80\x04\x95", "to_onnx"),
            (b"\x80\x04\x95", "for CatBoost"),
            (b"\x1f\x8b\x08", "compressed"),
            (b"PK\x03\x04", "compressed"),
            (b"\xff\xfet\0r\0", "UTF-16"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull"),
            (b"<!DOCTYPE html><html>", "web page"),
            (b"booster[0]:\n0:[f0<1]", "get_dump"),
            (b"[\n  { \"nodeid\": 0, \"depth\": 0", "get_dump"),
            (b"0:[f0<1] yes=1,no=2,missing=1\n\t1:leaf=0.5\n", "get_dump"),
            (b"0:leaf=0.5\n", "get_dump"),
            (
                br#"{"learner":{"gradient_booster":{"gbtree":{"gbtree_train_param":{}},"name":"dart"}},"version":[3,2,0]}"#,
                "save_config",
            ),
            (br#"{"name":"tree","version":"v4","tree_info":[]}"#, "dump_model"),
            (
                br#"{"learner":{"generic_param":{},"gradient_booster":{"name":"gbtree"}},"version":[3,2,0]}"#,
                "save_config",
            ),
            (
                br#"{"version":[3,2,0],"learner":{"generic_param":{},"gradient_booster":{"name":"gbtree"}}}"#,
                "save_config",
            ),
            (b"CBM1\x10\0\0\0", "format=\"json\""),
            (b"{}", "empty object"),
        ] {
            let error = read(bytes, &Options::default()).expect_err("no model").to_string();
            assert!(error.contains(sentence), "{bytes:?}: {error}");
        }
    }

    #[test]
    fn a_model_is_read_whatever_its_first_key_and_with_a_byte_order_mark() {
        let bytes = include_bytes!("../../tests/fixtures/xgboost_logistic/model.json");
        let expected = read(bytes, &Options::default()).expect("a model");
        let padded =
            [br#"{"comment":"a text that is longer than the beginning which is looked at, and more","#, &bytes[1..]];
        let with_mark = [&b"\xef\xbb\xbf"[..], bytes];
        for bytes in [padded.concat(), with_mark.concat()] {
            assert_eq!(read(&bytes, &Options::default()), Ok(expected.clone()));
        }
    }
}
