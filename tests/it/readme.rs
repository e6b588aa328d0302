//! The samples of the README and of the pages in docs, run as they are written but for the address; and the
//! description, linted.

use harness::http::{read_request, write_json};
use harness::supabase::{FakeSupabase, Reply};
use harness::tokens::token;
use harness::{DEPRESSED, Host, TYPES, built, state};
use serde_json::json;
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

/// The node that came with playwright, which takes TypeScript as it is.
pub(super) fn node() -> PathBuf {
    let libraries = built("python/bin/python").with_file_name("../lib");
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

    #[test]
    fn samples_get_a_response() {
        let host = Host::demo();
        let pages = pages();
        let mut asked = 0;
        for block in pages.split("```console\n").skip(1).filter_map(|rest| rest.split("\n```").next()) {
            let block = block.replace(ADDRESS, &host.address);
            // A sample goes on where a quote is open.
            let Some(begin) = block.find("$ curl ").filter(|_| block.contains(&host.address)) else { continue };
            let mut command = String::new();
            for line in block[begin + 2..].lines() {
                command.push_str(line);
                command.push('\n');
                if command.matches('\'').count().is_multiple_of(2) {
                    break;
                }
            }
            let printed =
                output(Command::new("sh").args(["-c", &command.replacen("curl ", "curl -sS --fail-with-body ", 1)]));
            let is_answer = ["predictions", "running", "RiskAssessment"].iter().any(|word| printed.contains(word));
            assert!(is_answer, "{command}: {printed}");
            asked += 1;
        }
        assert!(asked >= 3, "{asked} samples");
    }
}

mod needs_python {
    use super::*;

    #[test]
    fn samples_print_predictions() {
        let host = Host::demo();
        let run = |word: &str| {
            let code = sample("python", word).replace(ADDRESS, &host.address);
            output(Command::new(built("python/bin/python")).args(["-c", &code]))
        };
        let printed = run("urllib");
        assert_eq!(printed.lines().count(), TYPES.len(), "{printed}");
        assert!(printed.starts_with("mood_state critical Depressed mood averaged "), "{printed}");
        let printed = run("tritonclient");
        assert_eq!(printed.lines().count(), 2, "{printed}");
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
