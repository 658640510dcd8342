//! Repeats a request, and prints rate and latencies as JSON.

use std::time::Duration;

use clap::Parser;
use enlace_benches::Result;
use enlace_benches::connection::Request;
use enlace_benches::load::{Clients, Until};

/// Repeats a request over keep-alive connections, and prints rate and latencies as one line of JSON. Latencies are in microseconds.
#[derive(Parser)]
struct Arguments {
    /// `http://host:port/path`
    url: String,
    /// Connections, each with one request at a time.
    #[arg(long, default_value_t = 1)]
    clients: usize,
    /// Duration in seconds.
    #[arg(long, default_value_t = 5.0, conflicts_with = "count")]
    seconds: f64,
    /// Number of requests.
    #[arg(long)]
    count: Option<u64>,
    /// HTTP method.
    #[arg(long, default_value = "POST")]
    method: String,
    /// JSON body.
    #[arg(long, default_value = "{}")]
    body: String,
    /// A header, `name: value`; can be given several times.
    #[arg(long)]
    header: Vec<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let rest = arguments.url.strip_prefix("http://").ok_or("the URL must start with http://")?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut headers = arguments.header;
    headers.push("content-type: application/json".to_owned());
    let request = Request::new(&arguments.method, &format!("/{path}"), &headers, arguments.body.as_bytes());
    let until = match arguments.count {
        Some(count) => Until::Count(count),
        None => Until::Elapsed(Duration::from_secs_f64(arguments.seconds)),
    };
    let mut clients = Clients::connect(authority, arguments.clients, request).await?;
    println!("{}", serde_json::to_string(&clients.run(until).await?)?);
    Ok(())
}
