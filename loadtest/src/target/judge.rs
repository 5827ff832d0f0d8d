//! The verdict on an answer: its status, then, where something is expected, its outputs.

use std::sync::Arc;

use tidegate_inference::TensorSpec;

use super::difference::{Tolerance, difference};
use super::format::{Format, Refusal};
use super::timing::server_facts;
use crate::question::{Answer, Ending, Judged, Question, Wire};

pub(super) struct Judge {
    pub(super) format: Arc<dyn Format>,
    /// The model's outputs, where the format does not describe them itself.
    pub(super) specs: Vec<TensorSpec>,
    pub(super) tolerance: Tolerance,
}

impl Wire for Judge {
    fn judge(&self, question: &Question, answer: &Answer) -> Judged {
        let mut server = server_facts([&answer.headers, &answer.trailers]);
        let (ending, detail) = match self.format.refusal(answer) {
            Some(Refusal { ending, detail }) => (ending, Some(detail)),
            None => {
                server.version = self.format.version(answer);
                self.outputs(question, answer)
            }
        };
        Judged { ending, detail, server }
    }
}

impl Judge {
    /// Nothing is read where nothing is expected.
    fn outputs(&self, question: &Question, answer: &Answer) -> (Ending, Option<String>) {
        let Some(expected) = &question.expected else {
            return (Ending::Right, None);
        };
        match self.format.outputs(answer, &self.specs) {
            Err(problem) => (Ending::Unreadable, Some(problem)),
            Ok(found) => match difference(expected, &found, self.tolerance) {
                Some(difference) => (Ending::Wrong, Some(difference)),
                None => (Ending::Right, None),
            },
        }
    }
}
