//! Many callers at once while operators move the traffic: nobody gets another's answer, nobody is lost, and
//! the shares hold exactly.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::client::Client;
use crate::house::{Engines, House};
use crate::wire::{Format, Row};

const REQUESTS: usize = 10_000;
const CALLERS: usize = 64;
const CHANGES: usize = 40;

/// Callers that take their turns from one counter; each answer adds a permit.
struct Crowd {
    next: AtomicUsize,
    answered: Semaphore,
}

/// A payload like no other, which FP32 holds exactly.
fn row(number: usize, of: usize) -> Row {
    [number as f32, of as f32 + 0.5]
}

/// One to three rows.
fn rows(number: usize) -> Vec<Row> {
    (0..=number % 3).map(|of| row(number, of)).collect()
}

impl Crowd {
    async fn call(self: Arc<Self>, client: Client, address: std::net::SocketAddr) -> [usize; 2] {
        let mut by_version = [0; 2];
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= REQUESTS {
                return by_version;
            }
            let format = Format::ALL[number % Format::ALL.len()];
            let rows = rows(number);
            let answer = client.send(format.request(address, &rows)).await;
            let got = format.rows(&answer);
            let by = |version| {
                rows.iter().map(|row| Engines::answer(version, *row)).collect::<Vec<_>>() == got
            };
            let version = [1, 2].into_iter().find(|version| by(*version));
            let version = version.unwrap_or_else(|| panic!("{number} was answered {got:?}"));
            assert!(format.version(&answer).is_none_or(|named| named == version));
            by_version[version as usize - 1] += 1;
            self.answered.add_permits(1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_answers_go_to_their_own_callers_across_weight_changes() {
    let house = House::ready(&Engines::new()).await;
    let crowd = Arc::new(Crowd { next: AtomicUsize::new(0), answered: Semaphore::new(0) });
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        callers.spawn(Arc::clone(&crowd).call(house.client.clone(), house.address));
    }
    for change in 0..CHANGES {
        // One change after each fortieth of the answers, all-blue and all-green among them.
        crowd.answered.acquire_many((REQUESTS / CHANGES) as u32).await.unwrap().forget();
        let blue = change % 11;
        house.set_weights(json!({ "blue": blue, "green": 10 - blue })).await;
    }
    let by_version = callers
        .join_all()
        .await
        .into_iter()
        .fold([0, 0], |sum, one| [sum[0] + one[0], sum[1] + one[1]]);
    assert_eq!(by_version[0] + by_version[1], REQUESTS);

    let scrape = house.scrape().await;
    assert_eq!(scrape.accepted(), REQUESTS as f64);
    assert_eq!(scrape.ended("response"), REQUESTS as f64);
    scrape.assert_balanced();
    for (version, answers) in [("version=\"1\"", by_version[0]), ("version=\"2\"", by_version[1])] {
        assert_eq!(scrape.sum("tidegate_requests_total", &[version]), answers as f64);
    }
    let rows: usize = (0..REQUESTS).map(|number| rows(number).len()).sum();
    assert_eq!(scrape.sum("tidegate_rows_total", &[]), rows as f64);
}

#[tokio::test(flavor = "multi_thread")]
async fn between_changes_every_version_gets_exactly_its_share_at_any_concurrency() {
    let house = House::ready(&Engines::new()).await;
    for (blue, green, concurrency) in
        [(90, 10, 1), (1, 1, 16), (0, 3, 8), (9_999, 1, 32), (7, 0, 4), (1, 2, 64)]
    {
        house.set_weights(json!({ "blue": blue, "green": green })).await;
        let versions = versions_of(&house, 200, concurrency).await;
        let of = |version| versions.get(&version).copied().unwrap_or(0) as f64;
        let share = 200.0 * f64::from(blue) / f64::from(blue + green);
        assert!((of(1) - share).abs() < 1.0, "{blue}:{green}: {versions:?}");
        assert_eq!(of(1) + of(2), 200.0);
    }
}

/// How many of the requests each version answered.
async fn versions_of(house: &House, requests: usize, concurrency: usize) -> BTreeMap<u64, usize> {
    let left = Arc::new(AtomicUsize::new(requests));
    let mut callers = JoinSet::new();
    for _ in 0..concurrency {
        let (left, client, address) = (Arc::clone(&left), house.client.clone(), house.address);
        callers.spawn(async move {
            let mut versions = Vec::new();
            let one_less = |left: usize| left.checked_sub(1);
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok() {
                let request = Format::V2Json.request(address, &[[0.0, 0.0]]);
                let answer = client.send(request).await.expect(200);
                versions.extend(Format::V2Json.version(&answer));
            }
            versions
        });
    }
    let mut counts = BTreeMap::new();
    for version in callers.join_all().await.into_iter().flatten() {
        *counts.entry(version).or_default() += 1;
    }
    counts
}
