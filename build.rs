//! Lays the demo cohort out as static data, from the file that the trainer wrote, completes the description of the API,
//! puts the pages together, and computes the fingerprint of the code. Description and pages are compressed here, once.

#[path = "src/fingerprint.rs"]
mod fingerprint;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

const FILE: &str = "src/checkins/demo.csv";
const OPENAPI: &str = "src/endpoints/openapi.json";
const PAGES: &str = "src/endpoints/page";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    openapi()?;
    page("PAGE", "page.html", &["words.js", "elements.js", "page.js"], &words())?;
    page("DOCS", "docs.html", &["elements.js", "docs.js"], "")?;
    code_fingerprint()?;
    demo_cohort()
}

/// The hash of the code, which keys of the prediction cache carry.
fn code_fingerprint() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=src");
    let sources = fingerprint::sources(Path::new("src"))?;
    let hash = fingerprint::fingerprint(&std::env::var("CARGO_PKG_VERSION")?, &sources);
    println!("cargo::rustc-env=CODE_FINGERPRINT={hash}");
    Ok(())
}

/// Strips the description of the blanks that make it readable, and completes it with the version and the prediction
/// types.
fn openapi() -> Result<(), Box<dyn std::error::Error>> {
    let mut document: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(OPENAPI)?)?;
    document["info"]["version"] = std::env::var("CARGO_PKG_VERSION")?.into();
    // The registry that models/build.rs compiles.
    println!("cargo::rerun-if-env-changed=BIPOLAR_EDGE_REGISTRY");
    let registry = std::env::var("BIPOLAR_EDGE_REGISTRY").unwrap_or_else(|_| "models".to_owned());
    println!("cargo::rerun-if-changed={registry}");
    let mut types = Vec::new();
    for entry in std::fs::read_dir(&registry)? {
        let entry = entry?;
        if entry.path().join("card.toml").is_file() {
            types.extend(entry.file_name().into_string());
        }
    }
    types.sort();
    let alternatives = format!("({})", types.join("|"));
    document["components"]["schemas"]["Type"]["enum"] = types.into();
    let text = document.to_string().replace("TYPES", &alternatives);
    asset("OPENAPI", &text)
}

/// Writes the words for fields and statistics as a script.
fn words() -> String {
    use features::{FEATURES, FIELDS, FeatureKind, Language, STATISTICS, Unit, feature_label};
    let fields = FIELDS.iter().map(|field| {
        let unit = match field.unit {
            Unit::YesNo => "yes_no",
            Unit::OfTen => "of_ten",
            Unit::Hours => "hours",
            Unit::Minutes => "minutes",
            Unit::Number => "number",
        };
        let words = Language::ALL.map(|language| {
            let own = field.words(language);
            [own.label, own.low, own.high]
        });
        (field.name.to_owned(), serde_json::json!({ "unit": unit, "words": words }))
    });
    let fields: serde_json::Map<String, serde_json::Value> = fields.collect();
    let is_of_a_field = |kind| {
        matches!(kind, FeatureKind::Latest(_) | FeatureKind::Mean(_) | FeatureKind::Change(_) | FeatureKind::Trend(_))
    };
    let statistics = Language::ALL.map(|language| {
        let own = &STATISTICS[language as usize];
        let others = FEATURES.iter().enumerate().filter(|(_, feature)| !is_of_a_field(feature.kind));
        let others = others.map(|(place, feature)| (feature.name.to_owned(), feature_label(place, language).into()));
        let others: serde_json::Map<String, serde_json::Value> = others.collect();
        let labels = serde_json::json!({
            "mean": own.mean_label, "change": own.change_label, "trend": own.trend_label
        });
        serde_json::json!({ "labels": labels, "others": others })
    });
    format!(
        "const FIELDS = {};\nconst STATISTICS = {};\n",
        serde_json::Value::Object(fields),
        serde_json::Value::Array(statistics.into())
    )
}

/// Puts a page together: one file with its style and its scripts in it, the first of which a table follows, and the
/// policy by which a browser runs those and nothing else.
fn page(name: &str, html: &str, scripts: &[&str], table: &str) -> Result<(), Box<dyn std::error::Error>> {
    let read = |file: &str| std::fs::read_to_string(Path::new(PAGES).join(file));
    let style = read("style.css")?;
    let mut script = scripts.iter().map(|file| read(file)).collect::<Result<Vec<String>, _>>()?;
    script.insert(1, table.to_owned());
    let script = script.concat();
    let text = read(html)?.replacen("STYLE", &style, 1).replacen("SCRIPT", &script, 1);
    let digest = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
    println!(
        "cargo::rustc-env={name}_POLICY=default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        digest(&script),
        digest(&style)
    );
    asset(name, &text)
}

/// Compresses a text that is answered unchanged, and gives it a tag that changes with it.
fn asset(name: &str, text: &str) -> Result<(), Box<dyn std::error::Error>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes())?;
    std::fs::write(Path::new(&std::env::var("OUT_DIR")?).join(format!("{name}.gz")), encoder.finish()?)?;
    let tag: String = Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    println!("cargo::rustc-env={name}_TAG={tag}");
    Ok(())
}

/// Lays the demo cohort out. A field that the file has no column for is missing, so that a field can be added without
/// training anew.
fn demo_cohort() -> Result<(), Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string(FILE)?;
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().ok_or("demo.csv is empty")?.split(',').collect();
    let ["user_id", "id", "checkin_date", columns @ ..] = header.as_slice() else {
        return Err(format!("{FILE} must begin with user_id, id and checkin_date: run `cargo xtask train`").into());
    };
    if let Some(unknown) = columns.iter().find(|column| features::field_index(column).is_none()) {
        return Err(format!("{FILE}: {unknown} is no field of a check-in: run `cargo xtask train`").into());
    }
    let column_of = |name: &str| columns.iter().position(|column| *column == name);
    let places: Vec<Option<usize>> = features::FIELDS.iter().map(|field| column_of(field.name)).collect();
    let mut out = String::from("static DEMO: &[DemoCheckIn] = &[\n");
    for (number, line) in lines.enumerate() {
        let cells: Vec<&str> = line.split(',').collect();
        let [user, id, date, values @ ..] = cells.as_slice() else {
            return Err(format!("{FILE}, line {}: cut off", number + 2).into());
        };
        let date: jiff::civil::Date = date.parse()?;
        let (year, month, day) = (date.year(), date.month(), date.day());
        write!(out, "({user:?}, {id:?}, Date::constant({year}, {month}, {day}), [")?;
        for place in &places {
            match place.and_then(|place| values.get(place)).filter(|value| !value.is_empty()) {
                None => out.push_str("f32::NAN,"),
                Some(value) => write!(out, "{:?},", value.parse::<f32>()?)?,
            }
        }
        out.push_str("]),\n");
    }
    out.push_str("];\n");
    std::fs::write(Path::new(&std::env::var("OUT_DIR")?).join("demo.rs"), out)?;
    Ok(())
}
