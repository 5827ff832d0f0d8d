//! One exchange on a connection of its own: for metadata, golden answers, calls beside the load.

use std::rc::Rc;
use std::time::Duration;

use http::Method;
use tokio::runtime;
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::body::RequestBody;
use super::link::{Link, Lost};
use crate::Failure;
use crate::load::{Behaviour, Endpoint, Transport};
use crate::question::{Answer, Prepared};

/// Blocks until the answer is there. Not to be called from within an async runtime.
///
/// # Errors
/// No connection, no whole answer in time.
pub fn once(
    endpoint: &Endpoint,
    transport: Transport,
    method: Method,
    request: &Prepared,
    patience: Duration,
) -> Result<Answer, Failure> {
    let asked = format!("{method} {}{}", endpoint.authority, request.path);
    let exchange = async {
        let mut links =
            Link::open(endpoint.clone(), transport, Behaviour::Normal, Rc::default()).await?;
        let link = links.last_mut().ok_or("a connection without a link")?;
        let body = RequestBody::from(request.body.clone());
        let request = link.request(method, request, body)?;
        link.exchange(request).await.map_err(|lost| match lost {
            Lost::Unsent => "the connection was closed before it took the request".to_owned(),
            Lost::Sent { detail, .. } => detail,
        })
    };
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    // In a block of its own, because a timer is made where a runtime runs.
    let within = async { timeout(patience, exchange).await };
    let answer = LocalSet::new().block_on(&runtime, within);
    match answer {
        Ok(answer) => answer.map_err(|error: String| Failure::new(error).within(asked)),
        Err(_elapsed) => Err(Failure::new(format!("no answer within {patience:?}")).within(asked)),
    }
}
