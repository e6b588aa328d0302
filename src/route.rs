//! Method and path to endpoint.

use crate::access::Guard;
use crate::access::rate_limit::Class;
use crate::problem::Problem;
use http::Method;

/// An endpoint, with what its path says.
#[derive(Debug, PartialEq)]
pub(crate) enum Route<'a> {
    Home,
    Live,
    Ready,
    Metrics,
    OpenApi,
    Docs,
    Models,
    Model {
        name: &'a str,
    },
    Predictions {
        user_id: &'a str,
    },
    Invalidation {
        user_id: &'a str,
    },
    Job {
        id: &'a str,
    },
    PostedPredictions,
    Batch,
    PredictionOfDay {
        user_id: &'a str,
    },
    CheckIns {
        user_id: &'a str,
    },
    CheckInsHook,
    /// The Open Inference Protocol's server.
    InferenceServer,
    InferenceLive,
    InferenceReady,
    /// One of its models, and a version of it if the path has one.
    InferenceModel {
        name: &'a str,
        version: Option<&'a str>,
    },
    InferenceModelReady {
        name: &'a str,
        version: Option<&'a str>,
    },
    Infer {
        name: &'a str,
        version: Option<&'a str>,
    },
}

impl Route<'_> {
    /// Its path's template.
    fn name(&self) -> &'static str {
        match self {
            Route::Home => "/",
            Route::Live => "/health/live",
            Route::Ready => "/health/ready",
            Route::Metrics => "/metrics",
            Route::OpenApi => "/openapi.json",
            Route::Docs => "/docs",
            Route::Models => "/models",
            Route::Model { .. } => "/models/{name}",
            Route::Predictions { .. } | Route::Invalidation { .. } => "/data/predictions/{user_id}",
            Route::Job { .. } => "/data/jobs/{id}",
            Route::PostedPredictions => "/data/predictions",
            Route::Batch => "/data/predictions/batch",
            Route::PredictionOfDay { .. } => "/data/prediction_of_day/{user_id}",
            Route::CheckIns { .. } => "/data/check-ins/{user_id}",
            Route::CheckInsHook => "/hooks/check-ins",
            Route::InferenceServer => "/v2",
            Route::InferenceLive => "/v2/health/live",
            Route::InferenceReady => "/v2/health/ready",
            Route::InferenceModel { .. } => "/v2/models/{name}",
            Route::InferenceModelReady { .. } => "/v2/models/{name}/ready",
            Route::Infer { .. } => "/v2/models/{name}/infer",
        }
    }

    /// Who must be let in. A route that is not named here does not compile, rather than stand open.
    pub(crate) fn guard(&self) -> Guard {
        match self {
            Route::Home
            | Route::Live
            | Route::Ready
            | Route::OpenApi
            | Route::Docs
            | Route::InferenceLive
            | Route::InferenceReady => Guard::Open,
            Route::Metrics
            | Route::Models
            | Route::Model { .. }
            | Route::InferenceServer
            | Route::InferenceModel { .. }
            | Route::InferenceModelReady { .. }
            | Route::Infer { .. } => Guard::Operations,
            Route::Predictions { .. }
            | Route::Invalidation { .. }
            | Route::Job { .. }
            | Route::PostedPredictions
            | Route::Batch
            | Route::CheckIns { .. }
            | Route::PredictionOfDay { .. } => Guard::Data,
            Route::CheckInsHook => Guard::OwnSecret,
        }
    }

    /// What a request counts as for a limit; `None` is not counted: a load balancer's question, and a database's webhook, of
    /// which every one counts.
    pub(crate) fn class(&self) -> Option<Class> {
        match self {
            Route::Live | Route::Ready | Route::CheckInsHook | Route::InferenceLive | Route::InferenceReady => None,
            Route::Home
            | Route::Metrics
            | Route::OpenApi
            | Route::Docs
            | Route::Models
            | Route::Model { .. }
            | Route::Invalidation { .. }
            | Route::Job { .. }
            | Route::InferenceServer
            | Route::InferenceModel { .. }
            | Route::InferenceModelReady { .. } => Some(Class::Other),
            Route::Predictions { .. }
            | Route::PostedPredictions
            | Route::Batch
            | Route::CheckIns { .. }
            | Route::PredictionOfDay { .. }
            | Route::Infer { .. } => Some(Class::Predictions),
        }
    }
}

/// The endpoint of a request. 404 for an unknown path, 405 with `allow` for a known one asked in another way. `HEAD` asks what
/// `GET` does.
pub(crate) fn find<'a>(method: &Method, path: &'a str) -> Result<Route<'a>, Problem> {
    let (allow, route) = at(method, path).ok_or(Problem::NoSuchRoute)?;
    if allow.split(", ").any(|allowed| allowed == method.as_str()) {
        Ok(route)
    } else {
        Err(Problem::MethodNotAllowed { allow })
    }
}

/// The methods of a path, or `None` if there is nothing at it.
pub(crate) fn methods(path: &str) -> Option<&'static str> {
    at(&Method::GET, path).map(|(allow, _)| allow)
}

/// What a path is called, without what differs from request to request, or `None` if there is nothing at it.
pub(crate) fn name(path: &str) -> Option<&'static str> {
    at(&Method::GET, path).map(|(_, route)| route.name())
}

/// Every name, for the test of the description.
#[cfg(test)]
pub(crate) const ALL_NAMES: [&str; 21] = [
    "/",
    "/health/live",
    "/health/ready",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/models",
    "/models/{name}",
    "/data/predictions/{user_id}",
    "/data/jobs/{id}",
    "/data/predictions",
    "/data/predictions/batch",
    "/data/prediction_of_day/{user_id}",
    "/data/check-ins/{user_id}",
    "/hooks/check-ins",
    "/v2",
    "/v2/health/live",
    "/v2/health/ready",
    "/v2/models/{name}",
    "/v2/models/{name}/ready",
    "/v2/models/{name}/infer",
];

/// The methods of a path that can only be read.
const READ: &str = "GET, HEAD";

fn at<'a>(method: &Method, path: &'a str) -> Option<(&'static str, Route<'a>)> {
    let segments: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
    Some(match segments.as_slice() {
        [""] => (READ, Route::Home),
        ["health", "live"] => (READ, Route::Live),
        ["health", "ready"] => (READ, Route::Ready),
        ["docs"] => (READ, Route::Docs),
        ["openapi.json"] => (READ, Route::OpenApi),
        ["metrics"] => (READ, Route::Metrics),
        ["models"] => (READ, Route::Models),
        ["models", name] => (READ, Route::Model { name }),
        ["data", "predictions"] => ("POST", Route::PostedPredictions),
        ["data", "predictions", "batch"] => ("POST", Route::Batch),
        ["data", "predictions", user_id] if method == Method::DELETE => {
            ("GET, HEAD, DELETE", Route::Invalidation { user_id })
        }
        ["data", "predictions", user_id] => ("GET, HEAD, DELETE", Route::Predictions { user_id }),
        ["data", "jobs", id] => (READ, Route::Job { id }),
        ["data", "check-ins", user_id] => (READ, Route::CheckIns { user_id }),
        ["data", "prediction_of_day", user_id] => (READ, Route::PredictionOfDay { user_id }),
        ["hooks", "check-ins"] => ("POST", Route::CheckInsHook),
        ["v2"] => (READ, Route::InferenceServer),
        ["v2", "health", "live"] => (READ, Route::InferenceLive),
        ["v2", "health", "ready"] => (READ, Route::InferenceReady),
        ["v2", "models", name, rest @ ..] => {
            let (version, rest) = match rest {
                ["versions", version, rest @ ..] => (Some(*version), rest),
                rest => (None, rest),
            };
            match rest {
                [] => (READ, Route::InferenceModel { name, version }),
                ["ready"] => (READ, Route::InferenceModelReady { name, version }),
                ["infer"] => ("POST", Route::Infer { name, version }),
                _ => return None,
            }
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_matched_whole_and_to_the_letter() {
        assert_eq!(find(&Method::GET, "/"), Ok(Route::Home));
        assert_eq!(find(&Method::GET, "/models/mood_state"), Ok(Route::Model { name: "mood_state" }));
        for path in ["//", "/health", "/health/live/", "/Models", "/data", "/data//x", "/models/a/b", "/%6dodels"] {
            assert_eq!(find(&Method::GET, path), Err(Problem::NoSuchRoute), "{path}");
        }
    }

    #[test]
    fn a_model_of_the_inference_protocol_may_have_a_version_in_its_path() {
        let name = "mood_state";
        let infer = |version| Ok(Route::Infer { name, version });
        assert_eq!(find(&Method::POST, "/v2/models/mood_state/infer"), infer(None));
        assert_eq!(find(&Method::POST, "/v2/models/mood_state/versions/1/infer"), infer(Some("1")));
        assert_eq!(find(&Method::GET, "/v2/models/mood_state"), Ok(Route::InferenceModel { name, version: None }));
        for path in ["/v2/", "/v2/models", "/v2/models/a/b", "/v2/models/a/versions", "/v2/models/a/infer/b"] {
            assert_eq!(find(&Method::GET, path), Err(Problem::NoSuchRoute), "{path}");
        }
    }

    #[test]
    fn another_method_is_told_which_is_allowed() {
        assert_eq!(find(&Method::DELETE, "/models"), Err(Problem::MethodNotAllowed { allow: "GET, HEAD" }));
        assert_eq!(find(&Method::GET, "/data/predictions"), Err(Problem::MethodNotAllowed { allow: "POST" }));
        assert_eq!(find(&Method::GET, "/data/predictions/batch"), Err(Problem::MethodNotAllowed { allow: "POST" }));
        assert_eq!(find(&Method::POST, "/data/predictions/batch"), Ok(Route::Batch));
        assert_eq!(find(&Method::DELETE, "/model"), Err(Problem::NoSuchRoute));
    }
}
