//! Makes ONNX Runtime's messages fit for people who do not build ONNX Runtime.
//!
//! Its texts carry the path of a C++ file, a line and a whole function signature in front of what
//! they say, and the folder of the model, which is nobody's business outside. What they say is kept.

const CPP_SOURCE: &str = "/onnxruntime_src/";

/// In one line, without C++ places and without the model's path.
pub(crate) fn plain(message: &str) -> String {
    let mut rest = match message.strip_prefix("Load model from ") {
        Some(after) => after.split_once(" failed:").map_or(message, |(_path, reason)| reason),
        None => message,
    };
    let mut plain = String::with_capacity(rest.len());
    while let Some((before, place)) = rest.split_once(CPP_SOURCE) {
        plain.push_str(before);
        rest = after_signature(place);
    }
    plain.push_str(rest);
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `core/graph/model.cc:256 onnxruntime::Model::Model(A&&, const B&) const Unsupported ...`: what
/// follows the parameter list and whatever is glued to it.
fn after_signature(place: &str) -> &str {
    let mut depth = 0_usize;
    for (index, letter) in place.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    let glued = place[index..].find(' ').unwrap_or(place.len() - index);
                    let said = place[index + glued..].trim_start();
                    return said.strip_prefix("const ").unwrap_or(said);
                }
            }
            _ => {}
        }
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_stays_and_where_in_cpp_goes() {
        let load = "Load model from /models/a b/1/model.onnx failed:/onnxruntime_src/onnxruntime/core/\
            graph/model.cc:256 onnxruntime::Model::Model(onnx::ModelProto&&, const Logger&) \
            Unsupported model IR version: 99, max supported IR version: 13\n";
        assert_eq!(plain(load), "Unsupported model IR version: 99, max supported IR version: 13");

        let lambda = "Exception: /onnxruntime_src/x.cc:235 onnxruntime::Locale::Locale(const std::\
            string&)::<lambda()> Failed to construct locale with name:xx_YY";
        assert_eq!(plain(lambda), "Exception: Failed to construct locale with name:xx_YY");

        let method = "Status: /onnxruntime_src/x.h:1 int N::F(int) const idx (8) is out of bounds";
        assert_eq!(plain(method), "Status: idx (8) is out of bounds");
    }

    #[test]
    fn other_texts_pass_as_they_are() {
        for text in ["", "idx=8 must be within [-8,7]", "a (b", "/onnxruntime_src/x.cc:1 no list"] {
            let expected = text.strip_prefix(CPP_SOURCE).unwrap_or(text);
            assert_eq!(plain(text), expected);
        }
    }
}
