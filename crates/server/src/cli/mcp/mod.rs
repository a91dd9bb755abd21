//! `kinora mcp`: the server's abilities as tools of the Model Context Protocol, over standard input and output.
//!
//! It is a client like any other: what it is asked to do it asks a server for, over HTTP, with a key. [`tools`] says what
//! there is to call, [`arguments`] reads what was sent, [`work`] does it. Standard output belongs to the protocol.

use clap::Args;
use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation,
        ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
};
use serde_json::Value;

use super::{
    CommonArguments,
    client::Client,
    failure::{Failure, Outcome, failed},
};
use crate::{config, logging};

mod arguments;
mod tools;
mod work;

use tools::ToolName;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The server that makes the videos [KINORA_URL]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The key for that server [KINORA_API_KEY]
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,
}

pub(super) fn run(common: &CommonArguments, Arguments { server, api_key }: Arguments) -> Outcome {
    let config = common.load([])?;
    logging::start(&config.log);
    let url = server
        .or_else(config::server_url_of_environment)
        .ok_or_else(|| Failure::refused("no server is named: give --server or set KINORA_URL"))?;
    let key = api_key
        .or_else(config::api_key_of_environment)
        .ok_or_else(|| Failure::refused("the server needs a key: give --api-key or set KINORA_API_KEY"))?;
    let handler = Handler {
        client: Client::new(&url, &key)?,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = runtime.map_err(failed("the runtime could not be started"))?;
    let done = runtime.block_on(async {
        let service = handler.serve(rmcp::transport::stdio()).await;
        let service = service.map_err(failed("the client did not introduce itself"))?;
        service.waiting().await.map_err(failed("the service broke off"))
    });
    // A read from standard input cannot be called back.
    runtime.shutdown_background();
    done.map(|_| ())
}

struct Handler {
    client: Client,
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().build();
        ServerConfig::new(capabilities)
            .with_server_info(Implementation::new("kinora", env!("CARGO_PKG_VERSION")).with_title("Kinora"))
            .with_instructions(tools::INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools::all()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools::all().into_iter().find(|tool| tool.name == name)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(tool) = ToolName::parse(&request.name) else {
            let message = format!("there is no tool {:?}", request.name);
            return Err(ErrorData::invalid_params(message, None));
        };
        let arguments = request.arguments.unwrap_or_default();
        let result = match work::call(&self.client, tool, arguments, &context).await {
            Ok(Done { text, facts }) => {
                let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
                result.structured_content = Some(facts);
                result
            }
            // Told as the tool's own answer, so that whoever called it can read it and do better.
            Err(Refused(sentence)) => CallToolResult::error(vec![ContentBlock::text(sentence)]),
        };
        Ok(result.into())
    }
}

/// What a tool has done: a sentence for people, and the same as data.
struct Done {
    text: String,
    facts: Value,
}

/// Why a tool has not done it: a sentence, which names the argument where one is at fault.
struct Refused(String);

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Refused {
        Refused(failure.sentence().to_owned())
    }
}
