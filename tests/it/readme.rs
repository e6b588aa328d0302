//! The samples of the README and of the pages in docs, run as they are written but for the address; and the
//! description, linted.

use harness::http::{read_request, write_json};
use harness::supabase::{FakeSupabase, Reply};
use harness::tokens::token;
use harness::{DEPRESSED, Host, TYPES, built, state};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

const ADDRESS: &str = "127.0.0.1:3000";

/// The README, and the pages behind it.
fn pages() -> String {
    let docs = std::fs::read_dir("docs").expect("pages").map(|entry| entry.expect("a page").path());
    let mut files: Vec<PathBuf> = docs.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    files.push(PathBuf::from("README.md"));
    files.sort();
    files.iter().map(|file| std::fs::read_to_string(file).expect("text") + "\n").collect()
}

/// The sample in a language that has a word in it.
pub(super) fn sample(language: &str, word: &str) -> String {
    let pages = pages();
    let fence = format!("```{language}\n");
    let blocks = pages.split(&fence).skip(1).filter_map(|rest| rest.split("\n```").next());
    let mut blocks = blocks.filter(|block| block.contains(word));
    let found = blocks.next().unwrap_or_else(|| panic!("no sample in {language} has {word}")).to_owned();
    assert_eq!(blocks.next(), None, "several samples in {language} have {word}");
    found
}

/// Runs a program, which must succeed, and returns its output.
pub(super) fn output(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    // A compiler of types prints what it refuses on stdout.
    let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {printed}");
    String::from_utf8(output.stdout).expect("text")
}

/// The Python of the environment that `cargo xtask test` makes.
pub(super) fn python() -> PathBuf {
    built(if cfg!(windows) { "python/Scripts/python.exe" } else { "python/bin/python" })
}

/// The node that came with playwright, which takes TypeScript as it is.
pub(super) fn node() -> PathBuf {
    let libraries = python().with_file_name("../lib");
    let mut versions = std::fs::read_dir(libraries).expect("libraries").flatten();
    let of = |version: std::fs::DirEntry| version.path().join("site-packages/playwright/driver/node");
    versions.find_map(|version| Some(of(version)).filter(|node| node.is_file())).expect("playwright is installed")
}

/// A project that lets anybody in as one person.
fn sign_in(token: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let (head, _) = read_request(&stream);
            assert!(head[0].starts_with("POST /auth/v1/token?grant_type=password "), "{head:?}");
            let user = json!({ "id": DEPRESSED, "aud": "authenticated", "role": "authenticated", "email": "someone@example.org",
                "app_metadata": {}, "user_metadata": {}, "created_at": "2026-01-01T00:00:00Z" });
            let session = json!({ "access_token": token, "token_type": "bearer", "expires_in": 3600, "refresh_token": "x", "user": user });
            write_json(&mut stream, 200, &session.to_string());
        }
    });
    url
}

mod needs_curl {
    use super::*;

    /// A block that asks, run; behind it may stand the answer, which then has the keys of the live one.
    #[test]
    fn samples_get_the_response_that_stands_behind_them() {
        let host = Host::demo();
        let pages = pages();
        let (mut asked, mut compared) = (0, 0);
        for rest in pages.split("```console\n").skip(1) {
            let (block, rest) = rest.split_once("\n```").unwrap_or((rest, ""));
            let Some(begin) = block.find("$ curl ").filter(|_| block.contains(ADDRESS)) else { continue };
            let command = command(&block[begin + 2..]).replace(ADDRESS, &host.address);
            let printed = output(Command::new("sh").args(["-c", &command.replacen("curl ", "curl -sS ", 1)]));
            let sample = rest.strip_prefix("\n\n```json\n").and_then(|rest| rest.split("\n```").next());
            if let Some(sample) = sample {
                let [sample, live] = [sample, &printed].map(|text| {
                    serde_json::from_str::<Value>(text).unwrap_or_else(|error| panic!("{command}: {error}: {text}"))
                });
                assert_eq!(difference(&sample, &live, ""), None, "{command}: {printed}");
                compared += 1;
            } else {
                let is_answer = ["predictions", "running"].iter().any(|word| printed.contains(word));
                assert!(is_answer, "{command}: {printed}");
            }
            asked += 1;
        }
        assert!(asked >= 7 && compared >= 5, "{asked} samples, {compared} with their answer");
    }

    /// Returns the first command of a block: it goes on where a quote is open.
    fn command(block: &str) -> String {
        let mut command = String::new();
        for line in block.lines() {
            command = command + line + "\n";
            if command.matches('\'').count().is_multiple_of(2) {
                break;
            }
        }
        command
    }

    /// Returns where a sample has other keys than the live answer, or another kind of problem.
    fn difference(sample: &Value, live: &Value, at: &str) -> Option<String> {
        match (sample, live) {
            (Value::Object(sample), Value::Object(live)) => {
                let other = sample
                    .keys()
                    .chain(live.keys())
                    .find(|key| !(sample.contains_key(*key) && live.contains_key(*key)));
                let nested =
                    || sample.iter().find_map(|(key, value)| difference(value, &live[key], &format!("{at}.{key}")));
                other.map(|key| format!("{at}.{key}")).or_else(nested)
            }
            (Value::Array(sample), Value::Array(live)) => {
                let nested =
                    || sample.iter().zip(live).find_map(|(sample, live)| difference(sample, live, &format!("{at}[]")));
                (sample.len() != live.len())
                    .then(|| format!("{at}: {} and {}", sample.len(), live.len()))
                    .or_else(nested)
            }
            (Value::String(sample), Value::String(live)) => {
                (sample.starts_with("urn:bipolar-edge:") && sample != live).then(|| format!("{at}: {live}"))
            }
            _ => None,
        }
    }
}

mod needs_python {
    use super::*;

    #[test]
    fn samples_print_predictions() {
        let host = Host::demo();
        let run = |word: &str| {
            let code = sample("python", word).replace(ADDRESS, &host.address);
            output(Command::new(python()).args(["-c", &code]))
        };
        let printed = run("urllib");
        assert_eq!(printed.lines().count(), TYPES.len(), "{printed}");
        assert!(printed.starts_with("mood_state critical Depressed mood averaged "), "{printed}");
        let printed = run("tritonclient");
        assert_eq!(printed.lines().count(), 2, "{printed}");
    }

    /// JSON and TOML are read in `tests/tidy.rs`; YAML's reader comes with schemathesis.
    #[test]
    fn yaml_samples_can_be_read() {
        let pages = pages();
        let mut count = 0;
        for sample in pages.split("```yaml\n").skip(1).filter_map(|rest| rest.split("\n```").next()) {
            let read = "import sys, yaml; assert isinstance(yaml.safe_load(sys.argv[1]), dict)";
            output(Command::new(python()).args(["-c", read, sample]));
            count += 1;
        }
        assert!(count > 0);
    }

    /// Node comes with a package of Python's, see [`node`].
    mod needs_npm {
        use super::*;

        #[test]
        fn typescript_sample_signs_in_and_prints_predictions() {
            let supabase = FakeSupabase::start(vec![Reply::Rows]);
            let state = state();
            let host = Host::with_supabase(&state, &supabase.url, &[]);
            let project = sign_in(token(&supabase.url, DEPRESSED));
            let script = built("node/installed").with_file_name("readme.ts");
            std::fs::write(&script, sample("typescript", "supabase-js")).expect("written");
            let printed = output(
                Command::new(node())
                    .arg(&script)
                    .env("SUPABASE_URL", project)
                    .env("SUPABASE_ANON_KEY", "anon")
                    .env("EMAIL", "someone@example.org")
                    .env("PASSWORD", "a password")
                    .env("PREDICTIONS_URL", format!("http://{}", host.address)),
            );
            assert!(printed.starts_with("mood_state depression critical\n"), "{printed}");
            assert_eq!(printed.lines().count(), TYPES.len(), "{printed}");
        }

        #[test]
        fn openapi_description_passes_spectral() {
            let state = state();
            let host = Host::start(&state, &[]);
            let folder = state.path();
            std::fs::write(folder.join("openapi.json"), host.get("/openapi.json").body).expect("written");
            std::fs::write(folder.join("rules.yaml"), "extends: [\"spectral:oas\"]\n").expect("written");
            let spectral = built("node/installed").with_file_name("node_modules/@stoplight/spectral-cli/dist/index.js");
            output(
                Command::new(node())
                    .arg(spectral)
                    .args(["lint", "--fail-severity", "hint", "--ruleset"])
                    .arg(folder.join("rules.yaml"))
                    .arg(folder.join("openapi.json")),
            );
        }
    }
}
