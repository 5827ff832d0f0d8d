//! What the admin API acknowledged survives a `kill -9` at any moment.
//!
//! In every round an operator changes the weights as fast as they are acknowledged, and the process is
//! killed after some acknowledgement and a little more. After the restart the weights are the last
//! acknowledged ones, or later ones whose acknowledgement was cut off; never older, never anything else.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::client::{Client, request};
use crate::process::{self, Process, onnxruntime};

const ROUNDS: u32 = 15;

/// Sends one change after the other until nobody answers. The n-th change gives version 1 the weight n.
struct Operator {
    sent: AtomicU32,
    acknowledged: AtomicU32,
    acknowledgements: Semaphore,
}

impl Operator {
    fn starting_after(last: u32) -> Arc<Self> {
        Arc::new(Self {
            sent: AtomicU32::new(last),
            acknowledged: AtomicU32::new(last),
            acknowledgements: Semaphore::new(0),
        })
    }

    fn work(self: &Arc<Self>, client: Client, url: String) -> JoinHandle<()> {
        let operator = Arc::clone(self);
        tokio::spawn(async move {
            loop {
                let number = operator.sent.fetch_add(1, Ordering::Relaxed) + 1;
                let body = json!({ "weights": { "1": number, "2": 10_000 - number } }).to_string();
                let change = client.try_send(request(http::Method::PUT, &url, body)).await;
                let Some(answer) = change else { return };
                assert_eq!(answer.status, 200, "{}", answer.text());
                operator.acknowledged.store(number, Ordering::Relaxed);
                operator.acknowledgements.add_permits(1);
            }
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_weights_are_there_after_kill_9_at_any_moment() {
    if onnxruntime().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut gateway = start(folder.path());
    let mut last = 0;
    for round in 0..ROUNDS {
        let operator = Operator::starting_after(last);
        let url = gateway.admin("/admin/v1/models/affine/weights");
        let work = operator.work(gateway.client.clone(), url);
        operator.acknowledgements.acquire_many(1 + round % 4).await.unwrap().forget();
        // In odd rounds somewhere in the middle of the changes that follow, in even ones right here.
        for _ in 0..round % 2 * round * 40 {
            tokio::task::yield_now().await;
        }
        gateway.kill();
        work.await.unwrap();
        let acknowledged = operator.acknowledged.load(Ordering::Relaxed);
        let sent = operator.sent.load(Ordering::Relaxed);

        gateway = start(folder.path());
        last = weight_after_restart(&gateway).await;
        assert!(
            (acknowledged..=sent).contains(&last),
            "round {round}: {acknowledged} acknowledged, {sent} sent, {last} found"
        );
    }
    gateway.until_ready();
    gateway.signal("TERM");
    assert_eq!(gateway.exit().code(), Some(0));
}

fn start(folder: &Path) -> Process {
    let mut arguments = process::fixtures(folder, &["affine"]);
    process::copy(&folder.join("repository/affine/1"), &folder.join("repository/affine/2"));
    arguments.push("serve".into());
    arguments.rotate_right(1);
    let mut command = process::command();
    command.args(arguments);
    Process::start(command)
}

/// The whole document is as it was acknowledged: both weights belong to the same change.
async fn weight_after_restart(gateway: &Process) -> u32 {
    let url = gateway.admin("/admin/v1/models/affine/weights");
    let weights: Value = gateway.client.get(&url).await.expect(200).json();
    let of = |version: &str| weights["weights"][version].as_u64().unwrap() as u32;
    assert_eq!(of("1") + of("2"), 10_000, "{weights}");
    of("1")
}
