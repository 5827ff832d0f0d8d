//! What is right depends on who answered: each answer is held against what the version that it names said when it was
//! asked alone.
//!
//! So a canary switch can be checked although its two versions answer differently, and an answer of a version that should
//! not have been asked is wrong.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;

use crate::question::{Answer, Ending, Judged, Question, Wire};

pub struct ByVersion {
    wire: Arc<dyn Wire>,
    /// By the body of the question as it is asked of whatever version is due: the same question with what each version
    /// says to it.
    right: HashMap<Bytes, BTreeMap<u64, Question>>,
}

impl ByVersion {
    /// `versions` were asked the same questions in the same order.
    pub fn new(
        wire: Arc<dyn Wire>,
        questions: &[Question],
        versions: &BTreeMap<u64, Arc<[Question]>>,
    ) -> Self {
        let of = |index: usize| {
            versions
                .iter()
                .filter_map(move |(version, asked)| Some((*version, asked.get(index)?.clone())))
        };
        let right = questions
            .iter()
            .enumerate()
            .map(|(index, question)| (question.request.body.clone(), of(index).collect()));
        Self { wire, right: right.collect() }
    }
}

impl Wire for ByVersion {
    fn judge(&self, question: &Question, answer: &Answer) -> Judged {
        let judged = self.wire.judge(question, answer);
        if judged.ending != Ending::Right {
            return judged;
        }
        let wrong = |detail: String| Judged {
            ending: Ending::Wrong,
            detail: Some(detail),
            server: judged.server,
        };
        let Some(version) = judged.server.version else {
            return wrong("the answer names no version".to_owned());
        };
        match self.right.get(&question.request.body).and_then(|right| right.get(&version)) {
            Some(right) => self.wire.judge(right, answer),
            None => wrong(format!("version {version} answered, which was not expected")),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use tidegate_inference::{DataType, Shape, Tensor, TensorData};

    use super::*;
    use crate::question::{Prepared, ServerFacts};

    /// Its answers are a version and a value, a byte each.
    struct TwoBytes;

    impl Wire for TwoBytes {
        fn judge(&self, question: &Question, answer: &Answer) -> Judged {
            let server =
                ServerFacts { version: Some(answer.body[0].into()), ..ServerFacts::default() };
            let right = question.expected.as_ref().is_none_or(|expected| {
                expected[0].data() == &TensorData::Fixed(answer.body.slice(1..2))
            });
            let ending = if right { Ending::Right } else { Ending::Wrong };
            Judged { ending, detail: None, server }
        }
    }

    fn question(expected: Option<u8>) -> Question {
        let tensor = |value: u8| {
            let data = TensorData::Fixed(vec![value].into());
            Tensor::new("y", DataType::Uint8, Shape::new(&[1]), data).unwrap()
        };
        Question {
            request: Prepared {
                path: "/".to_owned(),
                headers: HeaderMap::new(),
                body: Bytes::from_static(b"?"),
            },
            rows: 1,
            expected: expected.map(|value| vec![tensor(value)]),
        }
    }

    fn answer(version: u8, value: u8) -> Answer {
        Answer {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Bytes::from(vec![version, value]),
            trailers: HeaderMap::new(),
        }
    }

    #[test]
    fn an_answer_is_held_against_the_version_that_it_names() {
        let versions = BTreeMap::from([
            (1, Arc::from([question(Some(10))])),
            (2, Arc::from([question(Some(20))])),
        ]);
        let asked = question(None);
        let wire = ByVersion::new(Arc::new(TwoBytes), std::slice::from_ref(&asked), &versions);
        let ending = |version, value| wire.judge(&asked, &answer(version, value)).ending;
        assert_eq!(ending(1, 10), Ending::Right);
        assert_eq!(ending(2, 20), Ending::Right);
        assert_eq!(ending(1, 20), Ending::Wrong);
        assert_eq!(ending(3, 10), Ending::Wrong);
    }
}
