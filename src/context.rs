//! A request as its endpoint is given it, made in `lib.rs`.

use crate::access::Caller;
use crate::config::Settings;
use crate::deadline::Deadline;
use crate::http::body::{self, ReadBody};
use crate::ids::DecisionIds;
use crate::instance::Instance;
use crate::platform::Platform;
use crate::predict::{Explain, Rendering};
use crate::problem::Problem;
use crate::routes::PathParameters;
use crate::store::ReadAlong;
use crate::telemetry::request_log::RequestInfo;
use crate::telemetry::timing::Timing;
use crate::telemetry::trace::Trace;
use crate::time::today;
use features::Language;
use http::HeaderMap;
use std::cell::Cell;
use std::rc::Rc;

/// The context of a request: the instance that answers it, and the caller who asks.
pub(crate) struct RequestContext<P: Platform> {
    pub(crate) instance: Rc<Instance<P>>,
    pub(crate) settings: Rc<Settings>,
    pub(crate) caller: Rc<Caller>,
    pub(crate) deadline: Deadline,
    /// The language that the answer is in.
    pub(crate) language: Language,
    pub(crate) trace: Option<Trace>,
    pub(crate) timing: Rc<Timing>,
    pub(crate) info: Rc<RequestInfo>,
    /// The ids of the predictions that are made for it.
    pub(crate) decisions: DecisionIds,
    /// The values of the cache that were read together with the limit, until they are used.
    pub(crate) read_along: Cell<Option<ReadAlong>>,
}

impl<P: Platform> RequestContext<P> {
    /// The facts that predictions are rendered with.
    pub(crate) fn rendering(&self, explain: Explain) -> Rendering<'_> {
        let crisis_resources = &self.settings.crisis_resources;
        Rendering { language: self.language, explain, crisis_resources, today: today() }
    }

    /// Reads the body of a request that declares JSON: see [`body::read_json`].
    pub(crate) async fn read_json(
        &self,
        headers: &HeaderMap,
        body: P::Body,
        limit: usize,
    ) -> Result<ReadBody, Problem> {
        let Instance { platform, load, .. } = &*self.instance;
        body::read_json((platform, load), headers, body, limit, self.deadline).await
    }

    /// Reads the body of a request: see [`body::read_bytes`].
    pub(crate) async fn read_bytes(
        &self,
        headers: &HeaderMap,
        body: P::Body,
        limit: usize,
    ) -> Result<ReadBody, Problem> {
        let Instance { platform, load, .. } = &*self.instance;
        body::read_bytes((platform, load), headers, body, limit, self.deadline).await
    }

    /// The context of work that is done after the answer: another span of the same trace, with a deadline of its own.
    pub(crate) fn for_background(&self, deadline: Deadline) -> RequestContext<P> {
        let timing = Timing::about(self.timing.person());
        timing.set_caller(self.caller.person());
        RequestContext {
            instance: self.instance.clone(),
            settings: self.settings.clone(),
            caller: self.caller.clone(),
            deadline,
            language: self.language,
            trace: self.trace.as_ref().map(Trace::child),
            timing: Rc::new(timing),
            info: self.info.clone(),
            decisions: DecisionIds::default(),
            read_along: Cell::default(),
        }
    }
}

/// A request that was let in, on its way to its endpoint.
pub(crate) struct EndpointRequest<'a, P: Platform> {
    pub(crate) context: &'a RequestContext<P>,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) path: PathParameters<'a>,
    pub(crate) query: &'a str,
    pub(crate) body: P::Body,
}
