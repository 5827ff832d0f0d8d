//! 429: a queue or a limit is full. The engine is held, so what is inside stays inside while the next one is
//! refused.

use super::{Busy, ROW, assert_invites_another_try, assert_says, send};
use crate::house::{count, of_model};
use crate::wire::{Format, v2_json};

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_429() {
    let busy = Busy::with(&[ROW], |config| of_model(config).max_queue_size = Some(count(1))).await;
    let queued = send(&busy.house, Format::TfRow.request(busy.house.address, &[ROW]));
    busy.house.until_queued(1.0).await;
    let answer = busy.post(&[ROW]).await.expect(429);
    assert_says(&answer, &["'m'", "version 1", "queue size of 1"]);
    assert_invites_another_try(&answer);
    // Both are answered before anybody counts.
    busy.engines.blue.open();
    queued.await.unwrap().expect(200);
    busy.let_go().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_requests_in_flight_are_429() {
    let busy = Busy::with(&[ROW], |config| config.limits.max_requests_in_flight = 1).await;
    let answer = busy.post(&[ROW]).await.expect(429);
    assert_says(&answer, &["requests are in flight", "limit of 1"]);
    assert_invites_another_try(&answer);
    busy.let_go().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_rows_in_flight_are_429() {
    let busy = Busy::with(&[ROW; 3], |config| config.limits.max_rows_in_flight = 4).await;
    let answer = busy.post(&[ROW; 2]).await.expect(429);
    assert_says(&answer, &["3 rows are in flight", "limit of 4"]);
    assert_invites_another_try(&answer);
    busy.let_go().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_bytes_in_flight_are_429() {
    let limit = v2_json(&[ROW]).len() * 3 / 2;
    let busy = Busy::with(&[ROW], |config| {
        config.limits.max_bytes_in_flight = limit;
        config.ingress.max_body_size = limit;
    })
    .await;
    let answer = busy.post(&[ROW]).await.expect(429);
    assert_says(&answer, &["bytes are in flight", &limit.to_string()]);
    assert_invites_another_try(&answer);
    busy.let_go().await;
}
