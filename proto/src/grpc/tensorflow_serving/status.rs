//! `GetModelStatus` as a message: the states of versions, newest first.

use tidegate_inference::{Version, VersionEntry};

use crate::grpc::tensorflow::serving::model_version_status::State;
use crate::grpc::tensorflow::serving::{GetModelStatusResponse, ModelVersionStatus, StatusProto};
use crate::tensorflow_serving::status::{Stage, failure, stage};

/// gRPC's number for an error of which nothing else is known.
const UNKNOWN: i32 = 2;

pub fn encode_status<'a>(
    versions: impl IntoIterator<Item = (Version, &'a VersionEntry)>,
) -> GetModelStatusResponse {
    let mut versions: Vec<_> = versions.into_iter().collect();
    versions.sort_unstable_by_key(|(version, _)| std::cmp::Reverse(*version));
    let status = |(version, entry): (Version, &VersionEntry)| ModelVersionStatus {
        // Larger ones than this number can hold are not to be had.
        version: i64::try_from(version.get()).unwrap_or(i64::MAX),
        state: state(stage(entry.state)).into(),
        status: Some(match failure(entry) {
            None => StatusProto::default(),
            Some(reason) => StatusProto { error_code: UNKNOWN, error_message: reason.to_owned() },
        }),
    };
    GetModelStatusResponse { model_version_status: versions.into_iter().map(status).collect() }
}

fn state(stage: Stage) -> State {
    match stage {
        Stage::Loading => State::Loading,
        Stage::Available => State::Available,
        Stage::Unloading => State::Unloading,
        Stage::End => State::End,
    }
}
