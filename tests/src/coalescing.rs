//! Requests of every wire format share batches, and everybody gets their own rows back.

use crate::house::{Engines, House, one_instance, until_held};
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

fn send(house: &House, format: Format, rows: Vec<Row>) -> tokio::task::JoinHandle<Vec<Row>> {
    let (client, request) = (house.client.clone(), format.request(house.running.data, &rows));
    tokio::spawn(async move { format.rows(&client.send(request).await) })
}
