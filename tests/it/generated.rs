//! Clients that others' generators make of the description: they are made without a warning, their types hold, and
//! what they send is understood. `cargo xtask test` installs the generators.

use super::readme::{node, output, python, sample};
use harness::{Host, built, state};
use serde_json::json;
use std::process::Command;

/// The body of the question with check-ins on the page of the API, flat and in groups.
fn sample_question() -> String {
    let sample = sample("console", "/data/predictions --json");
    let json = sample.split_once("--json '").and_then(|(_, rest)| rest.split_once('\'')).expect("a body").0;
    let _: serde_json::Value = serde_json::from_str(json).expect("JSON");
    json.to_owned()
}

mod needs_python {
    use super::*;

    #[test]
    fn client_of_openapi_python_client_is_made_and_works() {
        let state = state();
        let host = Host::start(&state, &[]);
        let folder = state.path();
        std::fs::write(folder.join("openapi.json"), host.get("/openapi.json").body).expect("written");
        std::fs::write(folder.join("config.yaml"), "post_hooks: []\n").expect("written");
        let python = python();
        output(
            Command::new(python.with_file_name("openapi-python-client"))
                .args(["generate", "--fail-on-warning", "--meta", "none", "--path"])
                .arg(folder.join("openapi.json"))
                .arg("--config")
                .arg(folder.join("config.yaml"))
                .arg("--output-path")
                .arg(folder.join("generated")),
        );
        std::fs::copy("tests/clients/generated.py", folder.join("script.py")).expect("copied");
        let mypy = ["-m", "mypy", "--strict", "--no-incremental", "script.py"];
        output(Command::new(&python).args(mypy).current_dir(folder));
        let url = format!("http://{}", host.address);
        output(Command::new(python).args(["script.py", &url, &sample_question()]).current_dir(folder));
    }

    /// Node comes with a package of Python's.
    mod needs_npm {
        use super::*;

        #[test]
        fn client_of_openapi_typescript_is_made_and_works() {
            let host = Host::demo();
            let installed = built("node/installed");
            let modules = installed.with_file_name("node_modules");
            let folder = installed.with_file_name("generated");
            std::fs::create_dir_all(&folder).expect("a folder");
            let url = format!("http://{}", host.address);
            std::fs::write(folder.join("openapi.json"), host.get("/openapi.json").body).expect("written");
            output(
                Command::new(node())
                    .arg(modules.join("openapi-typescript/bin/cli.js"))
                    .arg(folder.join("openapi.json"))
                    .arg("--output")
                    .arg(folder.join("api.d.ts")),
            );
            let script = std::fs::read_to_string("tests/clients/generated.ts").expect("a script");
            assert!(script.contains("README_QUESTION"));
            let script = script.replace("README_QUESTION", &sample_question());
            std::fs::write(folder.join("script.ts"), script).expect("written");
            std::fs::write(folder.join("package.json"), "{ \"type\": \"module\" }\n").expect("written");
            let options =
                json!({ "strict": true, "noEmit": true, "target": "es2022", "module": "nodenext", "types": [] });
            let config = json!({ "compilerOptions": options, "files": ["script.ts"] });
            std::fs::write(folder.join("tsconfig.json"), config.to_string()).expect("written");
            let check = ["--project", "tsconfig.json"];
            output(Command::new(node()).arg(modules.join("typescript/bin/tsc")).args(check).current_dir(&folder));
            output(Command::new(node()).arg(folder.join("script.ts")).arg(url));
        }
    }
}
