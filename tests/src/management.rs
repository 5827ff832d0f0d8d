//! Models come and go over HTTP while others serve: Triton's repository extension on the data port.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tidegate_gateway::Config;

use crate::client::Answer;
use crate::house::{Engines, House};
use crate::wire::{Format, v2_json};

const ROW: [f32; 2] = [1.0, 2.0];

async fn managed() -> House {
    let allow = |config: &mut Config| config.ingress.management = true;
    House::ready_with(&Engines::new(), allow).await
}

impl House {
    fn version(&self, number: u64) -> PathBuf {
        self.folder.path().join(format!("repository/m/{number}"))
    }

    fn write(&self, number: u64, content: &str) {
        fs::create_dir_all(self.version(number)).unwrap();
        fs::write(self.version(number).join("model.onnx"), content).unwrap();
    }

    async fn repository(&self, call: &str) -> Answer {
        self.client.post(&self.data(&format!("/v2/repository/{call}")), "").await
    }

    async fn infer(&self, version: u64) -> Answer {
        let path = format!("/v2/models/m/versions/{version}/infer");
        self.client.post(&self.data(&path), v2_json(&[ROW])).await
    }

    /// `version state reason`, in the order of the index.
    async fn index(&self) -> Vec<String> {
        let index = self.repository("index").await.expect(200).json();
        let word = |entry: &Value, key: &str| entry[key].as_str().unwrap().to_owned();
        let line = |entry| ["version", "state", "reason"].map(|key| word(entry, key)).join(" ");
        index.as_array().unwrap().iter().map(|entry| line(entry).trim().to_owned()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_copied_in_loaded_asked_removed_and_gone() {
    let house = managed().await;
    house.infer(3).await.expect(404);
    house.write(3, "");
    house.infer(3).await.expect(404);
    assert_eq!(house.repository("models/m/load").await.expect(200).text(), "");
    let answer = house.infer(3).await.expect(200);
    assert_eq!(Format::V2Json.rows(&answer), [Engines::answer(3, ROW)]);
    assert_eq!(house.index().await, ["1 READY", "2 READY", "3 READY"]);

    fs::remove_dir_all(house.version(3)).unwrap();
    house.infer(3).await.expect(200);
    house.repository("models/m/load").await.expect(200);
    house.infer(3).await.expect(404);
    assert_eq!(house.index().await, ["1 READY", "2 READY"]);

    house.repository("models/m/unload").await.expect(200);
    let refused = house.infer(1).await.expect(503);
    assert!(refused.error().contains("it is unloaded"), "{}", refused.text());
    assert_eq!(house.index().await, ["1 UNAVAILABLE unloaded", "2 UNAVAILABLE unloaded"]);
    house.client.get(&house.admin("/readyz")).await.expect(503);
    house.repository("models/m/load").await.expect(200);
    house.infer(1).await.expect(200);
    house.client.get(&house.admin("/readyz")).await.expect(200);
    let unknown = house.repository("models/n/load").await.expect(404);
    assert_eq!(unknown.error(), "failed to load 'n', no such model in the model repository");
    house.scrape().await.assert_balanced();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_while_its_version_is_replaced() {
    let house = Arc::new(managed().await);
    let over = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..8)
        .map(|_| {
            let (house, over) = (Arc::clone(&house), Arc::clone(&over));
            tokio::spawn(async move {
                let mut asked = 0_u32;
                while !over.load(Ordering::Relaxed) {
                    let path = house.data("/v2/models/m/infer");
                    house.client.post(&path, v2_json(&[ROW])).await.expect(200);
                    asked += 1;
                }
                asked
            })
        })
        .collect();
    house.until("everybody was answered once", |scrape| scrape.ended("response") >= 8.0).await;
    for round in 1..=5 {
        house.write(1, &"x".repeat(round));
        house.repository("models/m/load").await.expect(200);
    }
    over.store(true, Ordering::Relaxed);
    let mut asked = 0;
    for caller in callers {
        asked += caller.await.unwrap();
    }
    let scrape = house.scrape().await;
    assert_eq!((scrape.accepted(), scrape.ended("response")), (asked.into(), asked.into()));
    scrape.assert_balanced();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_allowed_may_look_and_no_more() {
    let house = House::ready(&Engines::new()).await;
    for call in ["models/m/load", "models/m/unload"] {
        let refused = house.repository(call).await.expect(403);
        assert!(refused.error().contains("data.management"), "{}", refused.text());
    }
    assert_eq!(house.index().await, ["1 READY", "2 READY"]);
    let unload = house.admin("/admin/v1/models/m/unload");
    let answer = house.client.post(&unload, "").await.expect(200).json();
    assert_eq!(answer["versions"][0]["state"], json!("unloaded"));
}
