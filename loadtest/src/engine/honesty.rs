//! The generator against servers whose answers are known beforehand, in made-up time: hours pass in seconds, and
//! what is measured can be compared with what was scripted, without noise.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::duplex;
use tokio::time::{Instant, sleep, sleep_until};

use super::collection::Collection;
use super::generator::{Place, generate};
use super::summary::{Drive, run};
use crate::figures::Run;
use crate::load::{Arrivals, Behaviour, Dial, Dialing, Endpoint, Load, Stream, Transport};
use crate::question::{Answer, Ending, Judged, Prepared, Question, ServerFacts, Wire};

const MS: Duration = Duration::from_millis(1);

/// What a scripted server does with the nth request that reaches it.
type Script = Arc<dyn Fn(u64, Instant) -> Reply + Send + Sync>;

#[derive(Clone)]
enum Reply {
    After(Duration),
    At(Instant),
    Status(u16),
    /// The connection ends without an answer.
    Cut,
    /// Answered, and then the connection is closed.
    Last,
}

/// A server in memory: every connection to it is a pipe.
struct Scripted {
    script: Script,
    transport: Transport,
    asked: Arc<AtomicU64>,
    connections: AtomicUsize,
    refuses: AtomicBool,
    bodies: Arc<Mutex<Vec<Bytes>>>,
}

impl Scripted {
    fn new(
        transport: Transport,
        script: impl Fn(u64, Instant) -> Reply + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            script: Arc::new(script),
            transport,
            asked: Arc::default(),
            connections: AtomicUsize::new(0),
            refuses: AtomicBool::new(false),
            bodies: Arc::default(),
        })
    }
}

impl Dial for Scripted {
    fn dial(&self) -> Dialing {
        if self.refuses.load(Ordering::Relaxed) {
            return Box::pin(async { Err(io::Error::from(io::ErrorKind::ConnectionRefused)) });
        }
        self.connections.fetch_add(1, Ordering::Relaxed);
        let (client, server) = duplex(1 << 16);
        let (script, asked) = (Arc::clone(&self.script), Arc::clone(&self.asked));
        let bodies = Arc::clone(&self.bodies);
        let service = service_fn(move |request: Request<Incoming>| {
            let (script, asked) = (Arc::clone(&script), Arc::clone(&asked));
            let bodies = Arc::clone(&bodies);
            async move {
                let body = request.into_body().collect().await.map_err(io::Error::other)?;
                bodies.lock().unwrap().push(body.to_bytes());
                let reply = script(asked.fetch_add(1, Ordering::Relaxed), Instant::now());
                let mut response = Response::new(Full::new(Bytes::from_static(b"{}")));
                match reply {
                    Reply::After(time) => sleep(time).await,
                    Reply::At(instant) => sleep_until(instant).await,
                    Reply::Status(status) => {
                        *response.status_mut() = StatusCode::from_u16(status).unwrap();
                    }
                    Reply::Cut => return Err(io::Error::other("scripted")),
                    Reply::Last => {
                        let close = HeaderValue::from_static("close");
                        response.headers_mut().insert("connection", close);
                    }
                }
                Ok::<_, io::Error>(response)
            }
        });
        let io = TokioIo::new(server);
        match self.transport {
            Transport::Http1 => {
                tokio::spawn(http1::Builder::new().serve_connection(io, service));
            }
            Transport::Http2 { .. } => {
                let builder = http2::Builder::new(TokioExecutor::new());
                tokio::spawn(builder.serve_connection(io, service));
            }
        }
        Box::pin(async move { Ok(Box::new(client) as Box<dyn Stream>) })
    }
}

struct ByStatus;

impl Wire for ByStatus {
    fn judge(&self, _question: &Question, answer: &Answer) -> Judged {
        let ending = match answer.status.as_u16() {
            200 => Ending::Right,
            429 => Ending::Refused,
            _ => Ending::Failed,
        };
        let detail = (ending != Ending::Right).then(|| answer.status.to_string());
        Judged { ending, detail, server: ServerFacts::default() }
    }
}

fn load(endpoints: &[Arc<Scripted>], arrivals: &str, duration: Duration) -> Load {
    let endpoint = |server: &Arc<Scripted>| {
        Endpoint::new("memory:1".to_owned(), Arc::clone(server) as Arc<dyn Dial>)
    };
    let request = Prepared {
        path: "/v2/models/m/infer".to_owned(),
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"{\"inputs\":[]}"),
    };
    let arrivals = match arrivals.strip_prefix("closed:") {
        Some(callers) => Arrivals::Closed { callers: callers.parse().unwrap() },
        None => Arrivals::Open(arrivals.parse().unwrap()),
    };
    Load {
        name: "test".to_owned(),
        target: "memory".to_owned(),
        endpoints: endpoints.iter().map(endpoint).collect(),
        transport: endpoints[0].transport,
        wire: Arc::new(ByStatus),
        questions: Arc::new([Question { request, rows: 1, expected: None }]),
        arrivals,
        start: Duration::ZERO,
        warm_up: Duration::ZERO,
        duration,
        max_requests: u64::MAX,
        connections: 1000,
        timeout: Duration::from_secs(30),
        behaviour: Behaviour::Normal,
        slo: Some(100 * MS),
        windows: Vec::new(),
    }
}

/// One generator thread in made-up time. Whatever it hands over is collected as `drive` does.
async fn driven(load: Load) -> Run {
    let start = Instant::now();
    let (to, from) = channel();
    let place = Place {
        thread: 0,
        threads: 1,
        start,
        seed: 7,
        stop: Arc::default(),
        made_up_time: true,
        taken: Arc::new([AtomicU64::new(0)]),
    };
    let loads = [load];
    let mut collection = Collection::new(&loads, start);
    generate(&loads, place, to).await;
    for hand_over in from {
        collection.add(hand_over);
    }
    let (collected, shares) = collection.finish(&loads).unwrap();
    let [collected] = <[_; 1]>::try_from(collected).ok().unwrap();
    run(0, &loads[0], collected, &Drive { shares, server_cpu: None, interrupted: false, seed: 7 })
}

fn counts(run: &Run) -> BTreeMap<&'static str, u64> {
    run.endings.iter().map(|(ending, figures)| (ending.name(), figures.count)).collect()
}

/// Answers at once, but for one second in every ten it answers nothing.
fn stalls(start: Instant) -> Arc<Scripted> {
    Scripted::new(Transport::Http1, move |_, now| {
        let into = (now - start).as_millis() % 10_000;
        let left = 10_000 - u64::try_from(into).unwrap();
        if left <= 1000 {
            Reply::At(now + MS * u32::try_from(left).unwrap())
        } else {
            Reply::After(MS)
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_stall_shows_in_the_corrected_p99_of_an_open_loop() {
    let server = stalls(Instant::now());
    let run = driven(load(&[server], "constant:100", Duration::from_secs(60))).await;
    assert_eq!(counts(&run), BTreeMap::from([("right", 6000)]));
    let corrected = run.latency.as_ref().unwrap();
    // A tenth of the requests fall into a stall, evenly: one in a hundred waits more than 0.9 s.
    assert!((corrected.p99_ms - 900.0).abs() < 20.0, "{}", corrected.p99_ms);
    assert!((corrected.max_ms - 1000.0).abs() < 10.0, "{}", corrected.max_ms);
    assert!(corrected.p50_ms < 3.0);
}

#[tokio::test(start_paused = true)]
async fn with_few_connections_only_the_correction_shows_the_stall() {
    let server = stalls(Instant::now());
    let few = Load { connections: 1, ..load(&[server], "constant:100", Duration::from_secs(60)) };
    let run = driven(few).await;
    let corrected = run.latency.as_ref().unwrap();
    assert!(corrected.p99_ms > 800.0, "{}", corrected.p99_ms);
    // The one connection sends one request into each stall: six of six thousand.
    assert!(run.latency_uncorrected.p99_ms < 5.0, "{}", run.latency_uncorrected.p99_ms);
    assert!(run.validity.valid, "the server was slow, not the generator: {}", run.validity);
    assert!(run.generator.waited > 500, "{}", run.generator.waited);
}

#[tokio::test(start_paused = true)]
async fn a_closed_loop_hides_the_stall_and_says_so() {
    let server = stalls(Instant::now());
    let run = driven(load(&[server], "closed:1", Duration::from_secs(20))).await;
    assert!(run.latency.is_none());
    assert!(run.latency_uncorrected.p99_ms < 5.0);
    assert_eq!(run.arrivals.loop_kind, "closed");
}

#[tokio::test(start_paused = true)]
async fn a_constant_service_time_is_measured_within_two_per_cent() {
    for transport in [Transport::Http1, Transport::Http2 { streams: 64 }] {
        let server = Scripted::new(transport, |_, _| Reply::After(200 * MS));
        let run = driven(load(&[server], "poisson:50", Duration::from_secs(40))).await;
        let latency = run.latency.as_ref().unwrap();
        for ms in [latency.min_ms, latency.p50_ms, latency.p99_ms, latency.mean_ms] {
            assert!((ms - 200.0).abs() <= 4.0, "{ms} ms over {transport:?}");
        }
        assert_eq!(latency.samples, run.requests);
    }
}

#[tokio::test(start_paused = true)]
async fn all_that_was_scheduled_is_sent_and_every_request_ends_once() {
    let server = Scripted::new(Transport::Http1, |n, _| match n % 10 {
        0 => Reply::Status(429),
        1 => Reply::Status(500),
        2 => Reply::Cut,
        3 => Reply::Last,
        _ => Reply::After(5 * MS),
    });
    let run = driven(load(&[Arc::clone(&server)], "constant:100", Duration::from_secs(10))).await;
    assert_eq!(
        counts(&run),
        BTreeMap::from([("right", 700), ("refused", 100), ("failed", 100), ("broken", 100)])
    );
    assert_eq!(run.requests, 1000);
    assert_eq!(
        server.asked.load(Ordering::Relaxed),
        1000,
        "a request that was sent is not sent again"
    );
    assert_eq!(run.errors(), 300);
    assert_eq!(run.series.iter().map(|second| second.offered).sum::<u64>(), 1000);
    assert_eq!(run.endings[&Ending::Refused].example.as_deref(), Some("429 Too Many Requests"));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_answered_in_time_is_counted_from_when_it_was_due() {
    let server = Scripted::new(Transport::Http1, |_, _| Reply::After(Duration::from_secs(3600)));
    let slow = Load {
        connections: 10,
        timeout: Duration::from_secs(2),
        ..load(&[server], "constant:100", Duration::from_secs(10))
    };
    let run = driven(slow).await;
    assert_eq!(counts(&run), BTreeMap::from([("timed_out", 1000)]));
    let longest = run.endings.values().map(|figures| figures.max_ms).fold(0.0, f64::max);
    assert!((longest - 2000.0).abs() < 5.0, "{longest}");
    assert!(!run.validity.valid);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_not_there_refuses_every_request_and_the_run_ends() {
    let server = Scripted::new(Transport::Http1, |_, _| Reply::After(MS));
    server.refuses.store(true, Ordering::Relaxed);
    for arrivals in ["constant:100", "closed:4"] {
        let run = driven(load(&[Arc::clone(&server)], arrivals, Duration::from_secs(2))).await;
        assert_eq!(counts(&run).keys().collect::<Vec<_>>(), [&"not_connected"]);
        assert!(run.validity.reasons[0].contains("nothing to measure"), "{}", run.validity);
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_out_of_rotation_gets_nothing_and_another_takes_over() {
    let server = || Scripted::new(Transport::Http1, |_, _| Reply::After(MS));
    let (stays, leaves, gone) = (server(), server(), server());
    gone.refuses.store(true, Ordering::Relaxed);
    let load = load(
        &[Arc::clone(&stays), Arc::clone(&leaves), Arc::clone(&gone)],
        "constant:200",
        Duration::from_secs(10),
    );
    load.endpoints[1].set_ready(false);
    let run = driven(load).await;
    assert_eq!(counts(&run), BTreeMap::from([("right", 2000)]));
    assert_eq!(leaves.asked.load(Ordering::Relaxed), 0);
    assert_eq!(stays.asked.load(Ordering::Relaxed), 2000);
}

#[tokio::test(start_paused = true)]
async fn warm_up_is_sent_and_not_recorded() {
    let server = Scripted::new(Transport::Http1, |n, _| {
        Reply::After(if n < 500 { 80 * MS } else { 10 * MS })
    });
    let warm_up = Duration::from_secs(5);
    let load =
        Load { warm_up, ..load(&[Arc::clone(&server)], "constant:100", Duration::from_secs(5)) };
    let run = driven(load).await;
    assert_eq!(server.asked.load(Ordering::Relaxed), 1000);
    assert_eq!(run.requests, 500);
    assert!(run.latency.unwrap().max_ms < 13.0);
}

#[tokio::test(start_paused = true)]
async fn a_window_tells_what_was_due_in_it_and_recorded() {
    let server = Scripted::new(Transport::Http1, |n, _| match n {
        0..300 => Reply::After(10 * MS),
        300..400 => Reply::Status(429),
        _ => Reply::After(80 * MS),
    });
    let seconds = |from: u64, to: u64| Duration::from_secs(from)..Duration::from_secs(to);
    let load = Load {
        start: Duration::from_secs(1),
        warm_up: Duration::from_secs(1),
        windows: vec![seconds(0, 4), seconds(4, 5), seconds(5, 6), seconds(60, 61)],
        ..load(&[server], "constant:100", Duration::from_secs(5))
    };
    let run = driven(load).await;
    let requests: Vec<u64> = run.windows.iter().map(|window| window.requests).collect();
    // The first began before the load did and holds its warm-up; the last comes after its end.
    assert_eq!(requests, [200, 100, 100, 0]);
    let [fast, refused, slow, empty] = &run.windows[..] else { panic!("{:?}", run.windows) };
    assert!(fast.latency.max_ms < 13.0 && slow.latency.min_ms > 79.0, "{fast:?} {slow:?}");
    assert_eq!(refused.endings.keys().collect::<Vec<_>>(), [&Ending::Refused]);
    assert_eq!(slow.goodput.as_ref().map(|goodput| goodput.share), Some(1.0));
    assert!(empty.endings.is_empty());
}

#[tokio::test(start_paused = true)]
async fn requests_are_bounded_in_count() {
    let server = Scripted::new(Transport::Http1, |_, _| Reply::After(MS));
    for arrivals in ["constant:100", "closed:4"] {
        server.asked.store(0, Ordering::Relaxed);
        let load = Load {
            max_requests: 150,
            ..load(&[Arc::clone(&server)], arrivals, Duration::from_secs(10))
        };
        let run = driven(load).await;
        assert_eq!((run.requests, server.asked.load(Ordering::Relaxed)), (150, 150), "{arrivals}");
        // It was over before its time, and its rates are those of the time that it took.
        assert!(run.duration_s < 2.0, "{arrivals}: {}", run.duration_s);
        assert!((run.throughput * run.duration_s - 150.0).abs() < 4.0, "{arrivals}");
    }
}

#[tokio::test(start_paused = true)]
async fn http2_shares_connections_and_no_request_is_lost_while_one_opens() {
    let transport = Transport::Http2 { streams: 8 };
    let server = Scripted::new(transport, |_, _| Reply::After(100 * MS));
    let load = Load {
        connections: 3,
        ..load(&[Arc::clone(&server)], "constant:200", Duration::from_secs(5))
    };
    let run = driven(load).await;
    assert_eq!(counts(&run), BTreeMap::from([("right", 1000)]));
    // 200 a second for 100 ms each are 20 at once, on three connections of eight.
    assert_eq!(server.connections.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_hangs_up_is_no_error_and_one_that_is_slow_sends_everything() {
    let server = Scripted::new(Transport::Http1, |_, _| Reply::After(500 * MS));
    let leaving = Load {
        behaviour: Behaviour::HangsUp { after: 100 * MS },
        ..load(&[Arc::clone(&server)], "constant:10", Duration::from_secs(2))
    };
    let run = driven(leaving).await;
    assert_eq!(counts(&run), BTreeMap::from([("abandoned", 20)]));
    assert_eq!(run.errors(), 0);

    let server = Scripted::new(Transport::Http1, |_, _| Reply::After(MS));
    let slow = Load {
        behaviour: Behaviour::SlowToSend(900 * MS),
        ..load(&[Arc::clone(&server)], "constant:10", Duration::from_secs(2))
    };
    let run = driven(slow).await;
    assert_eq!(counts(&run), BTreeMap::from([("right", 20)]));
    assert!(run.latency.unwrap().min_ms >= 900.0);
    assert!(server.bodies.lock().unwrap().iter().all(|body| body == "{\"inputs\":[]}"));

    let reading = Load {
        behaviour: Behaviour::SlowToRead(700 * MS),
        ..load(&[server], "constant:10", Duration::from_secs(2))
    };
    let latency = driven(reading).await.latency.unwrap();
    assert!(latency.min_ms >= 699.0, "{latency:?}");
}
