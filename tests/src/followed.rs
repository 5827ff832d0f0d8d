//! What changes beside a gateway that serves: versions in its repository, and the file that declares its traffic.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::Answer;
use crate::house::{Engines, House};
use crate::scrape::Scrape;
use crate::wire::v2_json;

const ROW: [f32; 2] = [1.0, 2.0];
const PATIENCE: Duration = Duration::from_secs(30);

impl House {
    fn folder_of(&self, number: u64) -> PathBuf {
        self.folder.path().join(format!("repository/m/{number}"))
    }

    /// As `cp -r` does it: the folder first, then the file, in two steps.
    fn copy_in(&self, number: u64) {
        fs::create_dir_all(self.folder_of(number)).unwrap();
        fs::write(self.folder_of(number).join("model.onnx"), "a model").unwrap();
    }

    async fn ask(&self) -> Answer {
        self.client.post(&self.data("/v2/models/m/infer"), v2_json(&[ROW])).await
    }

    async fn until_not_ready_because(&self, why: &str) {
        let url = self.admin("/readyz");
        let says = |answer: Answer| answer.expect(503).json()["reason"].to_string().contains(why);
        let asked = async { while !says(self.client.get(&url).await) {} };
        assert!(tokio::time::timeout(PATIENCE, asked).await.is_ok(), "never: {why}");
    }

    async fn model(&self) -> Value {
        self.client.get(&self.admin("/admin/v1/models/m")).await.expect(200).json()
    }
}

fn in_state(scrape: &Scrape, version: u64, state: &str) -> bool {
    let (version, state) = (format!("version=\"{version}\""), format!("state=\"{state}\""));
    scrape.sum("tidegate_version_state", &[&version, &state]) == 1.0
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_come_change_and_go_under_callers_and_no_request_is_lost() {
    let soon = |config: &mut tidegate_gateway::Config| {
        config.poll_interval = Some(Duration::from_millis(5));
    };
    let house = Arc::new(House::ready_with(&Engines::new(), soon).await);
    let over = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (house, over) = (Arc::clone(&house), Arc::clone(&over));
            tokio::spawn(async move {
                let mut asked = 0_u32;
                while !over.load(Ordering::Relaxed) {
                    house.ask().await.expect(200);
                    asked += 1;
                }
                asked
            })
        })
        .collect();
    for round in 1..=3_usize {
        house.copy_in(3);
        house.until("version 3 is ready", |scrape| in_state(scrape, 3, "ready")).await;
        fs::write(house.folder_of(1).join("model.onnx"), "x".repeat(round)).unwrap();
        fs::remove_dir_all(house.folder_of(3)).unwrap();
        house.until("version 3 has gone", |scrape| in_state(scrape, 3, "unloaded")).await;
    }
    over.store(true, Ordering::Relaxed);
    let mut asked = 0;
    for caller in callers {
        asked += caller.await.unwrap();
    }
    let scrape = house.scrape().await;
    assert!(asked > 0);
    assert_eq!((scrape.accepted(), scrape.ended("response")), (asked.into(), asked.into()));
    scrape.assert_balanced();
}

/// A folder as the kubelet mounts a ConfigMap: the file is a link through `..data`, which is swapped as a whole.
struct Mount(PathBuf);

impl Mount {
    fn new(folder: &Path, content: &str) -> Self {
        let mount = Self(folder.join("traffic"));
        fs::create_dir_all(&mount.0).unwrap();
        mount.swap("..first", content);
        symlink("..data/traffic.toml", mount.file()).unwrap();
        mount
    }

    fn file(&self) -> PathBuf {
        self.0.join("traffic.toml")
    }

    /// All contents have one length, and times are what they are: only the content tells.
    fn swap(&self, name: &str, content: &str) {
        fs::create_dir_all(self.0.join(name)).unwrap();
        fs::write(self.0.join(name).join("traffic.toml"), format!("{content:<100}\n")).unwrap();
        symlink(name, self.0.join("..data_tmp")).unwrap();
        fs::rename(self.0.join("..data_tmp"), self.0.join("..data")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mounted_traffic_file_is_followed_and_owns_the_split() {
    let folder = tempfile::tempdir().unwrap();
    let mount = Mount::new(folder.path(), "[models.m]\nweights = { 1 = 9, 2 = 1 }");
    let file = mount.file();
    let declared = |config: &mut tidegate_gateway::Config| {
        config.control.traffic_file = Some(file.clone());
    };
    let house = House::ready_with(&Engines::new(), declared).await;
    assert_eq!(house.model().await["weights"], json!({"1": 9, "2": 1}));
    assert_eq!(house.model().await["traffic_file"], json!(file));

    let weights = house.admin("/admin/v1/models/m/weights");
    let refused = house.client.put(&weights, &json!({"weights": {"2": 1}})).await.expect(409);
    let message = refused.error();
    assert!(
        message.contains("come from the file") && message.contains("traffic.toml"),
        "{message}"
    );

    mount.swap("..second", "[models.m]\nweights = { 1 = 0, 2 = 1 }");
    let moved = |scrape: &Scrape| {
        scrape.sum("tidegate_route_weight", &["version=\"1\""]) == 0.0
            && scrape.sum("tidegate_route_weight", &["version=\"2\""]) == 1.0
    };
    house.until("the split is the second one", moved).await;

    mount.swap("..third", "[models.m]\nweights = { 1 = 5, 7 = 1 }");
    let refused = |scrape: &Scrape| scrape.is_zero("tidegate_traffic_file_valid");
    house.until("the third one is refused", refused).await;
    let model = house.model().await;
    assert_eq!(model["weights"], json!({"1": 0, "2": 1}), "the second one holds on");
    let problem = model["traffic_problem"].as_str().unwrap();
    assert!(problem.contains("unknown version or label '7'"), "{problem}");
    house.client.get(&house.admin("/readyz")).await.expect(200);

    mount.swap("..fourth", "[models.m]\nweights = { 1 = 1, 2 = 0 }");
    let back = |scrape: &Scrape| scrape.sum("tidegate_traffic_file_valid", &[]) == 1.0;
    house.until("the fourth one holds", back).await;
    assert_eq!(house.model().await["weights"], json!({"1": 1, "2": 0}));
    assert_eq!(house.model().await["traffic_problem"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_whose_traffic_file_names_a_version_to_come_is_not_ready_until_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let mount = Mount::new(folder.path(), "[models.m]\nweights = { 1 = 9, 3 = 1 }");
    let file = mount.file();
    let declared = |config: &mut tidegate_gateway::Config| {
        config.control.traffic_file = Some(file.clone());
        config.poll_interval = Some(Duration::from_millis(5));
    };
    let house = House::starting_with(&Engines::new(), declared).await;
    let refused = |scrape: &Scrape| scrape.is_zero("tidegate_traffic_file_valid");
    house.until("it is refused", refused).await;
    house.until("its versions are loaded", |scrape| in_state(scrape, 2, "ready")).await;
    house.until_not_ready_because("traffic.toml cannot be put in force").await;
    house.ask().await.expect(503);
    house.copy_in(3);
    house.until_ready().await;
    assert_eq!(house.model().await["weights"], json!({"1": 9, "2": 0, "3": 1}));
    house.ask().await.expect(200);
}
