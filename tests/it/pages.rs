//! The pages, as a browser gets and shows them. `cargo xtask test` installs Chromium and what drives it.

use harness::supabase::{FakeSupabase, Reply};
use harness::tokens::token;
use harness::{DEPRESSED, Host, TYPES, built, state};
use serde_json::json;
use std::process::Command;

/// The `accept` header of Chromium.
const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");

#[test]
fn pages_are_single_small_files_with_a_strict_csp() {
    let host = Host::demo();
    for path in ["/", "/docs"] {
        let page = host.request("GET", path, &[BROWSER]);
        assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"), "{path}");
        assert!(page.body.len() < 60_000, "{path} has {} bytes", page.body.len());
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"), "{policy}");
        for part in ["connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        for elsewhere in ["src=", "//cdn", "@import", "url("] {
            assert!(!page.body.contains(elsewhere), "{path}: {elsewhere}");
        }
        let known = host.request("GET", path, &[BROWSER, ("if-none-match", page.header("etag"))]);
        assert_eq!((known.status, known.body.as_str()), (304, ""), "{path}");
        let head = host.request("HEAD", path, &[BROWSER]);
        assert_eq!((head.status, head.header("etag")), (200, page.header("etag")));
        let small = host.request("HEAD", path, &[BROWSER, ("accept-encoding", "gzip")]);
        assert_eq!(small.header("content-encoding"), "gzip", "{path}");
        assert!(small.header("vary").contains("accept-encoding"), "{:?}", small.headers);
    }
    let (page, json) =
        (host.request("GET", "/", &[BROWSER]), host.request("GET", "/", &[("accept", "application/json")]));
    assert_eq!(json.header("content-type"), "application/json");
    assert_eq!((json.json()["auth_mode"].as_str(), host.get("/").json()), (Some("off"), json.json()));
    for answer in [&page, &json] {
        assert!(answer.header("vary").split(", ").any(|name| name == "accept"), "{:?}", answer.headers);
    }
}

/// Runs the script that drives Chromium; screenshots go into `target/screenshots`.
fn drive(host: &Host, arguments: &[&str]) {
    let python = built("python/bin/python");
    let screenshots = python.ancestors().nth(3).expect("the target folder").join("screenshots");
    std::fs::create_dir_all(&screenshots).expect("a folder");
    let output = Command::new(python)
        .args(["tests/clients/page.py", &host.address])
        .arg(screenshots)
        .args(arguments)
        .env("TYPES", TYPES.len().to_string())
        .output()
        .expect("Python runs");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}: {}", host.log());
}

/// Python drives the browser.
mod needs_chromium {
    use super::*;

    mod needs_python {
        use super::*;

        #[test]
        fn pages_show_people_what_if_and_models() {
            drive(&Host::demo(), &[]);
        }

        #[test]
        fn pages_show_people_themselves_after_sign_in() {
            let supabase = FakeSupabase::start(vec![Reply::Rows]);
            let state = state();
            drive(&Host::with_supabase(&state, &supabase.url, &[]), &[&token(&supabase.url, DEPRESSED)]);
        }

        #[test]
        fn pages_say_first_that_a_check_in_is_too_old() {
            let row =
                json!({ "user_id": DEPRESSED, "checkin_date": "2026-01-15", "depressedMood": 7, "hoursSlept": 6.5 });
            let supabase = FakeSupabase::start(vec![Reply::rows(&[row])]);
            let state = state();
            drive(&Host::with_supabase(&state, &supabase.url, &[]), &[&token(&supabase.url, DEPRESSED), "stale"]);
        }
    }
}
