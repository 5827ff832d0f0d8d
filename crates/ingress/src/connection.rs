//! One connection, from accept to close. HTTP/1.1 and HTTP/2 with prior knowledge are told apart by the
//! first bytes. It ends when the caller closes, when it has been quiet for too long, or when the server
//! drains: then as soon as what it has in flight is answered.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tidegate_inference::Admission;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant as TokioInstant, Sleep, sleep, timeout};

use crate::activity::{Activity, QuietRule, Verdict};
use crate::drain::DrainListener;
use crate::io_threads::Beside;
use crate::socket::Socket;
use crate::stream::Stream;
use crate::{Ingress, IngressConfig};

/// A request that was sent just before the drain began may still be in the kernel's buffer.
const FRESH_GRACE: Duration = Duration::from_millis(250);

/// The smallest read buffer with which large bodies come in at full speed.
const READ_BUFFER: usize = 64 * 1024;
const HTTP2_STREAM_WINDOW: u32 = 1 << 20;
const HTTP2_CONNECTION_WINDOW: u32 = 2 << 20;

/// Calls at the same time on one connection: gRPC's clients have one connection for all.
const HTTP2_STREAMS: u32 = 1024;
/// A request's values come in one piece up to this size, and are not copied together.
const HTTP2_FRAME: u32 = 1 << 20;

pub type Http = auto::Builder<Beside>;

pub fn http(config: &IngressConfig) -> Http {
    let mut http = auto::Builder::new(Beside);
    // Without a timer hyper's own header timeout stays off; see `activity`.
    http.http1().max_buf_size(config.max_header_size.saturating_mul(2).max(READ_BUFFER));
    http.http2()
        .max_header_list_size(u32::try_from(config.max_header_size).unwrap_or(u32::MAX))
        .max_concurrent_streams(HTTP2_STREAMS)
        .max_frame_size(HTTP2_FRAME)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW);
    http
}

pub async fn drive<A: Admission>(
    ingress: Arc<Ingress<A>>,
    stream: Stream,
    place: OwnedSemaphorePermit,
) {
    let _open = ingress.telemetry.connections().opened();
    let activity = Arc::<Activity>::default();
    let socket = Socket::new(stream, Arc::clone(&activity), ingress.config.write_timeout, place);
    // Requests share what belongs to their connection: a count that all connections shared would travel between
    // the cores with every request.
    let shared = Arc::new((Arc::clone(&ingress), Arc::clone(&activity)));
    let service = service_fn(|request| {
        let shared = Arc::clone(&shared);
        async move {
            let (ingress, activity) = &*shared;
            Ok::<_, Infallible>(ingress.respond(activity, request).await)
        }
    });
    let mut connection = pin!(ingress.http.serve_connection(TokioIo::new(socket), service));

    let mut rule = QuietRule::new(
        ingress.config.header_read_timeout,
        ingress.config.idle_timeout,
        Instant::now(),
    );
    let mut ticks = Ticks::every(rule.tick());
    let mut drain = Some(ingress.drain.listener());
    loop {
        match next_event(connection.as_mut(), drain.as_mut(), &mut ticks).await {
            // How a connection broke is the caller's business; every request's end is recorded elsewhere.
            Event::Ended => return,
            Event::Draining => {
                drain = None;
                if activity.is_fresh() && timeout(FRESH_GRACE, connection.as_mut()).await.is_ok() {
                    return;
                }
                connection.as_mut().graceful_shutdown();
            }
            // It was asked to leave and has nothing to do: a caller that does not answer is left.
            Event::Tick if drain.is_none() && !activity.is_busy() => return,
            Event::Tick => match rule.judge(&activity, Instant::now()) {
                Verdict::Keep => {}
                Verdict::CloseSlow => return,
                Verdict::CloseIdle => {
                    connection.as_mut().graceful_shutdown();
                    // HTTP/2 says goodbye; a caller that does not answer is left.
                    let _ = timeout(FRESH_GRACE, connection.as_mut()).await;
                    return;
                }
            },
        }
    }
}

/// An interval for a task that polls often: tokio's own takes a few steps each time to say that it is not over.
struct Ticks {
    every: Duration,
    left: Pin<Box<Sleep>>,
    enlisted: Option<Waker>,
}

impl Ticks {
    fn every(every: Duration) -> Self {
        Self { every, left: Box::pin(sleep(every)), enlisted: None }
    }

    fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let known = self.enlisted.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if known && !self.left.is_elapsed() {
            return Poll::Pending;
        }
        self.enlisted = Some(cx.waker().clone());
        ready!(self.left.as_mut().poll(cx));
        self.enlisted = None;
        self.left.as_mut().reset(TokioInstant::now() + self.every);
        Poll::Ready(())
    }
}

enum Event {
    Ended,
    Draining,
    Tick,
}

/// The connection comes first, and the others are only asked when it waits.
async fn next_event<E>(
    mut connection: Pin<&mut impl Future<Output = Result<(), E>>>,
    mut drain: Option<&mut DrainListener>,
    ticks: &mut Ticks,
) -> Event {
    poll_fn(|cx| {
        if connection.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Event::Ended);
        }
        if let Some(drain) = drain.as_mut()
            && drain.poll_begun(cx).is_ready()
        {
            return Poll::Ready(Event::Draining);
        }
        ticks.poll_tick(cx).map(|_| Event::Tick)
    })
    .await
}
