//! The endpoints: one file each, and one row each in the table of routes.

mod answer;
pub mod batch;
mod check_ins;
pub mod check_ins_hook;
mod docs;
mod erasure;
mod fhir;
mod health;
mod home;
pub mod inference_protocol;
mod job;
mod metrics;
mod models;
mod openapi;
mod posted_predictions;
mod prediction_of_day;
mod predictions;
mod sweep_hook;

use crate::access::Guard;
use crate::context::EndpointRequest;
use crate::http::Response;
use crate::platform::Platform;
use crate::problem::Problem;
use crate::quota::LimitGroup;
use crate::request::PredictionRequest;
use crate::routes::{PathMatch, PathParameters, Route, RouteMethod, find_path};
use futures::future::LocalBoxFuture;
use http::Method;

/// The function that answers the requests of a route.
type Answer<P> = for<'a> fn(EndpointRequest<'a, P>) -> LocalBoxFuture<'a, Result<Response, Problem>>;

/// The function that answers a question about a person.
type AnswerQuestion<P> =
    for<'a> fn(EndpointRequest<'a, P>, PredictionRequest) -> LocalBoxFuture<'a, Result<Response, Problem>>;

/// The function that reads a route's question about a person from its path and query.
pub(crate) type Question = fn(&PathParameters<'_>, &str) -> Result<PredictionRequest, Problem>;

/// The way in which a route is answered.
pub(crate) enum Handler<P: Platform> {
    /// Answers whatever the configuration is, to everyone.
    Unconfigured(fn() -> Response),
    Configured(Answer<P>),
    /// Looks the question up in the cache.
    Cached(Question, AnswerQuestion<P>),
}

/// Finds the routes of a path, or `None` if there is nothing at it.
pub(crate) fn find<P: Platform>(path: &str) -> Option<PathMatch<'static, '_, Handler<P>>> {
    find_path(Routes::<P>::TABLE, path)
}

/// Returns true if a route answers FHIR too where that is asked for.
pub(crate) fn has_fhir(route: &str, method: &Method) -> bool {
    let is_read = *method == Method::GET || *method == Method::HEAD;
    is_read && ["/data/predictions/{user_id}", "/data/prediction_of_day/{user_id}"].contains(&route)
}

const DEFAULT: Option<LimitGroup> = Some(LimitGroup::Default);
const PREDICTIONS: Option<LimitGroup> = Some(LimitGroup::Predictions);

/// The routes on a platform.
struct Routes<P>(std::marker::PhantomData<P>);

impl<P: Platform> Routes<P> {
    const TABLE: &'static [Route<Handler<P>>] = &[
        Route {
            templates: &["/"],
            method: RouteMethod::Get,
            guard: Guard::Open,
            limit: DEFAULT,
            handler: Handler::Configured(|request| Box::pin(home::get(request))),
        },
        Route {
            templates: &["/health/live"],
            method: RouteMethod::Get,
            guard: Guard::Open,
            limit: None,
            handler: Handler::Unconfigured(health::live),
        },
        Route {
            templates: &["/health/ready"],
            method: RouteMethod::Get,
            guard: Guard::Open,
            limit: None,
            handler: Handler::Configured(|request| Box::pin(health::ready(request))),
        },
        Route {
            templates: &["/metrics"],
            method: RouteMethod::Get,
            guard: Guard::Metrics,
            limit: DEFAULT,
            handler: Handler::Configured(|request| Box::pin(metrics::get(request))),
        },
        Route {
            templates: &["/openapi.json"],
            method: RouteMethod::Get,
            guard: Guard::Open,
            limit: DEFAULT,
            handler: Handler::Configured(|request| Box::pin(openapi::get(request))),
        },
        Route {
            templates: &["/docs"],
            method: RouteMethod::Get,
            guard: Guard::Open,
            limit: DEFAULT,
            handler: Handler::Configured(|request| Box::pin(docs::get(request))),
        },
        Route {
            templates: &["/models"],
            method: RouteMethod::Get,
            guard: Guard::Operations,
            limit: DEFAULT,
            handler: Handler::Configured(|request| Box::pin(models::list(request))),
        },
        Route {
            templates: &["/models/{name}"],
            method: RouteMethod::Get,
            guard: Guard::Operations,
            limit: DEFAULT,
            handler: Handler::Configured(|request| Box::pin(models::get(request))),
        },
        Route {
            templates: &["/data/predictions"],
            method: RouteMethod::Post,
            guard: Guard::Data,
            limit: PREDICTIONS,
            handler: Handler::Configured(|request| Box::pin(posted_predictions::post(request))),
        },
        Route {
            templates: &["/data/predictions/batch"],
            method: RouteMethod::Post,
            guard: Guard::Data,
            limit: PREDICTIONS,
            handler: Handler::Configured(|request| Box::pin(batch::post(request))),
        },
        Route {
            templates: &["/data/predictions/{user_id}"],
            method: RouteMethod::Get,
            guard: Guard::Data,
            limit: PREDICTIONS,
            handler: Handler::Cached(predictions::question, |request, asked| {
                Box::pin(predictions::get(request, asked))
            }),
        },
        Route {
            templates: &["/data/predictions/{user_id}"],
            method: RouteMethod::Delete,
            guard: Guard::Erasure,
            limit: DEFAULT,
            handler: Handler::Configured(|request| Box::pin(erasure::delete(request))),
        },
        Route {
            templates: &["/data/jobs/{id}"],
            method: RouteMethod::Get,
            guard: Guard::Data,
            limit: DEFAULT,
            handler: Handler::Configured(|request| Box::pin(job::get(request))),
        },
        Route {
            templates: &["/data/prediction_of_day/{user_id}"],
            method: RouteMethod::Get,
            guard: Guard::Data,
            limit: PREDICTIONS,
            handler: Handler::Cached(prediction_of_day::question, |request, asked| {
                Box::pin(prediction_of_day::get(request, asked))
            }),
        },
        Route {
            templates: &["/data/check-ins/{user_id}"],
            method: RouteMethod::Get,
            guard: Guard::Data,
            limit: PREDICTIONS,
            handler: Handler::Configured(|request| Box::pin(check_ins::get(request))),
        },
        Route {
            templates: &["/hooks/check-ins"],
            method: RouteMethod::Post,
            guard: Guard::WebhookSecret,
            limit: None,
            handler: Handler::Configured(|request| Box::pin(check_ins_hook::post(request))),
        },
        Route {
            templates: &["/hooks/sweep"],
            method: RouteMethod::Post,
            guard: Guard::WebhookSecret,
            limit: None,
            handler: Handler::Configured(|request| Box::pin(sweep_hook::post(request))),
        },
        Route {
            templates: &["/v2"],
            method: RouteMethod::Get,
            guard: Guard::Operations,
            limit: DEFAULT,
            handler: Handler::Configured(|request| Box::pin(inference_protocol::server(request))),
        },
        Route {
            templates: &["/v2/health/live"],
            method: RouteMethod::Get,
            guard: Guard::Open,
            limit: None,
            handler: Handler::Configured(|request| Box::pin(inference_protocol::live(request))),
        },
        Route {
            templates: &["/v2/health/ready"],
            method: RouteMethod::Get,
            guard: Guard::Open,
            limit: None,
            handler: Handler::Configured(|request| Box::pin(inference_protocol::ready(request))),
        },
        // Before the models, of which none can be called so.
        Route {
            templates: &["/v2/models/stats"],
            method: RouteMethod::Get,
            guard: Guard::Metrics,
            limit: DEFAULT,
            handler: Handler::Configured(|request| Box::pin(inference_protocol::all_stats(request))),
        },
        Route {
            templates: &["/v2/models/{name}/stats", "/v2/models/{name}/versions/{version}/stats"],
            method: RouteMethod::Get,
            guard: Guard::Metrics,
            limit: DEFAULT,
            handler: Handler::Configured(|request| Box::pin(inference_protocol::stats(request))),
        },
        Route {
            templates: &["/v2/models/{name}/config", "/v2/models/{name}/versions/{version}/config"],
            method: RouteMethod::Get,
            guard: Guard::Operations,
            limit: DEFAULT,
            handler: Handler::Configured(|request| Box::pin(inference_protocol::config(request))),
        },
        Route {
            templates: &["/v2/repository/index"],
            method: RouteMethod::Post,
            guard: Guard::Operations,
            limit: DEFAULT,
            handler: Handler::Configured(|request| Box::pin(inference_protocol::index(request))),
        },
        Route {
            templates: &["/v2/models/{name}", "/v2/models/{name}/versions/{version}"],
            method: RouteMethod::Get,
            guard: Guard::Operations,
            limit: DEFAULT,
            handler: Handler::Configured(|request| Box::pin(inference_protocol::model(request))),
        },
        Route {
            templates: &["/v2/models/{name}/ready", "/v2/models/{name}/versions/{version}/ready"],
            method: RouteMethod::Get,
            guard: Guard::Operations,
            limit: DEFAULT,
            handler: Handler::Configured(|request| Box::pin(inference_protocol::model_ready(request))),
        },
        Route {
            templates: &["/v2/models/{name}/infer", "/v2/models/{name}/versions/{version}/infer"],
            method: RouteMethod::Post,
            guard: Guard::Operations,
            limit: PREDICTIONS,
            handler: Handler::Configured(|request| Box::pin(inference_protocol::infer(request))),
        },
    ];
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake_platform::Fake;

    #[test]
    fn nothing_about_people_is_open() {
        for route in Routes::<Fake>::TABLE {
            let is_open = route.guard == Guard::Open;
            assert!(!(is_open && route.templates[0].starts_with("/data")), "{}", route.templates[0]);
        }
    }
}
