//! Requests of every wire format share batches, and everybody gets their own rows back.

use tidegate_inference::{BatchStatistics, Statistics, Total};
use tidegate_proto::open_inference::decode_statistics;

use crate::house::{Engines, House, one_instance, until_held};
use crate::scrape::Scrape;
use crate::wire::{Format, Row};

fn row(number: usize) -> Row {
    [number as f32, number as f32 + 0.25]
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_all_five_formats_share_one_batch() {
    let engines = Engines::new();
    let house = House::ready_with(&engines, one_instance).await;
    engines.blue.hold();
    // The engine is busy with this one, so that the others gather behind it.
    let first = send(&house, Format::V2Json, vec![row(100)]);
    until_held(&engines.blue, 1).await;
    engines.blue.forget_runs();

    // Of one and of two rows, so that a mistake in the offsets shows.
    let rows = |index: usize| (0..=index % 2).map(|more| row(10 * index + more)).collect();
    let sent: Vec<(Vec<Row>, _)> = Format::ALL
        .into_iter()
        .enumerate()
        .map(|(index, format)| (rows(index), send(&house, format, rows(index))))
        .collect();
    house.until_queued(5.0).await;
    engines.blue.open();

    first.await.unwrap();
    for (rows, answered) in sent {
        let expected: Vec<Row> = rows.iter().map(|row| Engines::answer(1, *row)).collect();
        assert_eq!(answered.await.unwrap(), expected);
    }
    let runs = engines.blue.runs();
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert_eq!(runs[0].shapes[0][..], [7, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_charge_each_request_with_its_whole_batch() {
    let engines = Engines::new();
    let house = House::ready_with(&engines, one_instance).await;
    engines.blue.hold();
    let first = send(&house, Format::V2Json, vec![row(1)]);
    until_held(&engines.blue, 1).await;
    let together = [2, 3, 4].map(|number| send(&house, Format::V2Json, vec![row(number); 2]));
    house.until_queued(3.0).await;
    engines.blue.open();
    first.await.unwrap();
    for answered in together {
        answered.await.unwrap();
    }
    // Callers are answered before their batch is written down.
    let both = |scrape: &Scrape| scrape.sum("nv_inference_exec_count", &["version=\"1\""]) == 2.0;
    house.until("two executions", both).await;

    let url = house.data("/v2/models/m/versions/1/stats");
    let body = house.client.get(&url).await.expect(200).text().to_owned();
    let statistics = decode_statistics(body.as_bytes()).unwrap().remove(0);
    assert_eq!((statistics.inference_count, statistics.execution_count), (7, 2));
    assert_eq!((statistics.success.count, statistics.fail.count), (4, 0));
    let [alone, shared] = statistics.batches[..] else { panic!("{:?}", statistics.batches) };
    assert_eq!((alone.rows, shared.rows), (1, 6));
    let charged = |part: fn(&BatchStatistics) -> Total| part(&alone).ns + 3 * part(&shared).ns;
    assert_eq!(statistics.compute_input.ns, charged(|batch| batch.compute_input));
    assert_eq!(statistics.compute_infer.ns, charged(|batch| batch.compute_infer));
    let Statistics { queue, compute_input, compute_infer, compute_output, .. } = statistics;
    let parts = [queue, compute_input, compute_infer, compute_output];
    let explained: u64 = parts.iter().map(|part| part.ns).sum();
    assert!(explained <= statistics.success.ns, "{statistics:?}");
}

fn send(house: &House, format: Format, rows: Vec<Row>) -> tokio::task::JoinHandle<Vec<Row>> {
    let (client, request) = (house.client.clone(), format.request(house.address, &rows));
    tokio::spawn(async move { format.rows(&client.send(request).await) })
}
