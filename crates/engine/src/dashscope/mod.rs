//! The hosted Wan 2.7 models of Alibaba Model Studio, by their DashScope API.
//!
//! In reading order: the engine here · [`offer`]: what it can do, published, and so refused before anything is paid ·
//! [`order`]: a spec as the request's body · [`answer`]: what the service says, and what follows from it.
//!
//! Pictures go inside of the request. Clips and sounds go as URLs of this installation, for the service takes them in no
//! other way: so what starts from a clip, or has sound, is offered only where there is a public URL.

mod answer;
mod offer;
mod order;

use std::{ops::ControlFlow, path::Path, time::Duration};

use kinora_domain::{GenerationSpec, Offer};
use kinora_media::fetch::{FetchError, Fetcher};
use reqwest::{Method, header};

use crate::{
    ClipSink, Engine, EngineError, EngineProgress, Halt, Inputs, Made, OpenUpstreamError, Secret,
    upstream::{
        http::{Answer, CallError, Caller},
        task::{Done, Look, NotSubmitted, RESULT_BYTES_MAX, Service, carry},
    },
};
use order::Order;

/// The hosted models.
pub struct DashScope {
    offer: Offer,
    service: Hosted,
}

/// Where the service is, and which of its models are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DashScopeOptions {
    /// The offer's name; clients see it.
    pub name: String,
    /// The service's address.
    pub url: String,
    /// The key there.
    pub key: Secret,
    /// The models, by what they do.
    pub models: DashScopeModels,
    /// How often a task is asked for.
    pub poll: Duration,
    /// How long one question may take.
    pub timeout: Duration,
    /// Whether inputs can be read from outside, at a public URL of this installation.
    pub is_public: bool,
}

/// The names of the models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DashScopeModels {
    /// From text.
    pub text: String,
    /// From a first frame, or a clip to continue.
    pub image: String,
    /// Of references.
    pub reference: String,
    /// For edits.
    pub edit: String,
}

impl DashScope {
    /// Ready to be asked. Nothing is sent yet.
    pub fn open(options: DashScopeOptions, fetcher: Fetcher) -> Result<DashScope, OpenUpstreamError> {
        let DashScopeOptions {
            name,
            url,
            key,
            models,
            poll,
            timeout,
            is_public,
        } = options;
        Ok(DashScope {
            offer: offer::offer(&name, is_public),
            service: Hosted {
                caller: Caller::new(&url, key, timeout, fetcher)?,
                models,
                poll,
            },
        })
    }
}

impl Engine for DashScope {
    fn offer(&self) -> &Offer {
        &self.offer
    }

    fn generate(
        &mut self,
        spec: &GenerationSpec,
        inputs: &Inputs,
        clip: &mut dyn ClipSink,
        observe: &mut dyn FnMut(EngineProgress) -> ControlFlow<Halt>,
    ) -> Result<Made, EngineError> {
        carry(&self.service, spec, inputs, clip, observe)
    }
}

struct Hosted {
    caller: Caller,
    models: DashScopeModels,
    poll: Duration,
}

impl Service for Hosted {
    type Order = Order;

    fn caller(&self) -> &Caller {
        &self.caller
    }

    fn poll(&self) -> Duration {
        self.poll
    }

    fn prepare(&self, spec: &GenerationSpec, inputs: &Inputs) -> Result<Order, EngineError> {
        order::prepare(&self.models, spec, inputs)
    }

    fn sent_prompt(&self, order: &Order) -> Option<String> {
        order.rewritten.clone()
    }

    async fn submit(&self, order: Order) -> Result<String, NotSubmitted> {
        const PATH: &str = "api/v1/services/aigc/video-generation/video-synthesis";
        let request = self
            .caller
            .request(Method::POST, PATH)?
            .header(header::CONTENT_TYPE, "application/json")
            .header("X-DashScope-Async", "enable")
            .body(order.body.to_string());
        answer::submitted(&self.caller.ask(request).await?, self.caller.key())
    }

    async fn look(&self, task: &str) -> Look {
        match self.ask(Method::GET, &format!("api/v1/tasks/{task}")).await {
            Ok(answer) => answer::look(&answer, self.caller.key()),
            Err(error) => Look::Unclear(error.detail()),
        }
    }

    async fn fetch(&self, _task: &str, done: &Done, into: &Path) -> Result<(), FetchError> {
        self.caller.fetch(&done.url, RESULT_BYTES_MAX, into).await
    }

    /// Only a task that waits can be ended there.
    async fn cancel(&self, task: &str) -> Result<(), String> {
        let asked = self
            .ask(Method::POST, &format!("api/v1/tasks/{task}/cancel"))
            .await;
        let answer = asked.map_err(CallError::detail)?;
        match answer.status {
            200..300 => Ok(()),
            _ => Err(answer::said(&answer, self.caller.key())),
        }
    }
}

impl Hosted {
    async fn ask(&self, method: Method, path: &str) -> Result<Answer, CallError> {
        self.caller.ask(self.caller.request(method, path)?).await
    }
}
