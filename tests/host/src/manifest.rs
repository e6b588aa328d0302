//! `spin.toml`, version 2: reads an application that this host can serve, and refuses every other.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// An application of one component.
#[derive(Debug)]
pub(crate) struct Application {
    /// The component's name, for messages.
    pub(crate) component: String,
    /// The Wasm file.
    pub(crate) source: PathBuf,
    /// The component's variables, resolved.
    pub(crate) variables: BTreeMap<String, String>,
    /// Labels of the stores that the component may open.
    pub(crate) key_value_stores: Vec<String>,
    /// Hosts that the component may call, resolved.
    pub(crate) allowed_outbound_hosts: Vec<String>,
}

#[derive(Deserialize)]
struct Manifest {
    spin_manifest_version: u32,
    #[serde(default)]
    variables: BTreeMap<String, Variable>,
    trigger: Triggers,
    component: BTreeMap<String, Component>,
}

#[derive(Deserialize)]
struct Variable {
    default: Option<String>,
    #[serde(default)]
    required: bool,
}

#[derive(Deserialize)]
struct Triggers {
    http: Vec<HttpTrigger>,
}

#[derive(Deserialize)]
struct HttpTrigger {
    route: String,
    component: String,
}

#[derive(Deserialize)]
struct Component {
    source: String,
    #[serde(default)]
    variables: BTreeMap<String, String>,
    #[serde(default)]
    key_value_stores: Vec<String>,
    #[serde(default)]
    allowed_outbound_hosts: Vec<String>,
}

impl Application {
    /// Reads a manifest. `set` are the values of application variables, which override defaults.
    pub(crate) fn read(file: &Path, set: &BTreeMap<String, String>) -> Result<Application> {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let folder = file.parent().unwrap_or(Path::new("."));
        Application::parse(&text, folder, set).with_context(|| file.display().to_string())
    }

    fn parse(text: &str, folder: &Path, set: &BTreeMap<String, String>) -> Result<Application> {
        let manifest: Manifest = toml::from_str(text)?;
        ensure!(
            manifest.spin_manifest_version == 2,
            "spin_manifest_version is {}; 2 is known",
            manifest.spin_manifest_version
        );
        let [trigger] = manifest.trigger.http.as_slice() else {
            bail!("there are {} HTTP triggers; this host serves one", manifest.trigger.http.len());
        };
        ensure!(trigger.route == "/...", "the route is {:?}; this host serves \"/...\"", trigger.route);
        let name = &trigger.component;
        let component =
            manifest.component.get(name).with_context(|| format!("component {name:?} is not in the manifest"))?;
        for name in set.keys() {
            ensure!(manifest.variables.contains_key(name), "variable {name:?} is set and not in the manifest");
        }
        let mut values = BTreeMap::new();
        for (name, variable) in &manifest.variables {
            match (set.get(name).or(variable.default.as_ref()), variable.required) {
                (Some(value), _) => drop(values.insert(name.as_str(), value.as_str())),
                (None, true) => bail!("variable {name:?} is required and not set"),
                (None, false) => bail!("variable {name:?} has neither `default` nor `required`"),
            }
        }
        let resolve = |template: &String| resolve(template, &values);
        Ok(Application {
            component: name.clone(),
            source: folder.join(&component.source),
            variables: component
                .variables
                .iter()
                .map(|(name, template)| Ok((name.clone(), resolve(template)?)))
                .collect::<Result<_>>()?,
            key_value_stores: component.key_value_stores.clone(),
            allowed_outbound_hosts: component.allowed_outbound_hosts.iter().map(resolve).collect::<Result<_>>()?,
        })
    }
}

/// Replaces each `{{ name }}` by the variable's value.
fn resolve(template: &str, values: &BTreeMap<&str, &str>) -> Result<String> {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").with_context(|| format!("{template:?}: {{{{ is not closed"))?;
        let value =
            values.get(name.trim()).with_context(|| format!("{template:?}: there is no variable {:?}", name.trim()))?;
        out.push_str(before);
        out.push_str(value);
        rest = after;
    }
    Ok(out + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"
        spin_manifest_version = 2
        [variables]
        api = { default = "https://one.example" }
        key = { required = true }
        [[trigger.http]]
        route = "/..."
        component = "main"
        [component.main]
        source = "target/main.wasm"
        key_value_stores = ["default"]
        allowed_outbound_hosts = ["{{ api }}", "https://*.example"]
        [component.main.variables]
        url = "{{api}}/v1?key={{ key }}"
    "#;

    fn read(text: &str, set: &[(&str, &str)]) -> Result<Application> {
        let set = set.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Application::parse(text, Path::new("app"), &set)
    }

    #[test]
    fn variables_are_resolved_where_they_are_used() {
        let app = read(MANIFEST, &[("key", "k")]).expect("valid");
        assert_eq!(app.variables["url"], "https://one.example/v1?key=k");
        assert_eq!(app.allowed_outbound_hosts, ["https://one.example", "https://*.example"]);
        assert_eq!(app.source, Path::new("app/target/main.wasm"));
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        let error = |text: &str, set: &[(&str, &str)]| format!("{:#}", read(text, set).expect_err("refused"));
        assert_eq!(error(MANIFEST, &[]), "variable \"key\" is required and not set");
        assert_eq!(error(MANIFEST, &[("kye", "")]), "variable \"kye\" is set and not in the manifest");
        let set = &[("key", "k")];
        assert_eq!(
            error(&MANIFEST.replace("{{ api }}", "{{ app }}"), set),
            "\"{{ app }}\": there is no variable \"app\""
        );
        assert_eq!(
            error(&MANIFEST.replace("/...\"", "/api\""), set),
            "the route is \"/api\"; this host serves \"/...\""
        );
        assert_eq!(error(&MANIFEST.replace("= 2", "= 1"), set), "spin_manifest_version is 1; 2 is known");
    }
}
