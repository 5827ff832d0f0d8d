//! A caller's timeout and priority reach whoever runs the request, from every place where they may stand.

use std::time::Duration;

use http::Method;
use tidegate_ingress::IngressConfig;

use crate::client::{Server, infer_body, infer_head, infer_request};
use crate::mock::{Behaviour, Terms};

const SERVERS: Duration = Duration::from_secs(5);

async fn server() -> Server {
    let config = IngressConfig { request_timeout: SERVERS, ..IngressConfig::default() };
    Server::start(config, &[("m", Behaviour::Echo)]).await
}

fn with_parameters(parameters: &str) -> String {
    infer_body(1).replacen('{', &format!("{{\"parameters\":{{{parameters}}},"), 1)
}

#[tokio::test]
async fn headers_count_for_every_format_and_the_servers_bound_stands() {
    let server = server().await;
    let instances = r#"{"instances":[[1,2]]}"#;
    let paths = [
        ("/v2/models/m/infer", infer_body(1)),
        ("/v1/models/m:predict", instances.to_owned()),
        ("/predict", instances.to_owned()),
    ];
    let headers: [&[(&str, &str)]; 5] = [
        &[],
        &[("x-request-timeout", "2")],
        &[("Request-Timeout", "1.5s")],
        &[("grpc-timeout", "900m"), ("x-request-timeout", "1s")],
        &[("x-request-timeout", "1h")],
    ];
    for (path, body) in &paths {
        for headers in headers {
            let answer = server.send(Method::POST, path, headers, body.clone()).await;
            assert_eq!(answer.status, 200, "{path} {headers:?}: {}", answer.text());
        }
    }
    let heads: Vec<u128> = server.mock.terms().iter().map(|terms| terms.head.as_millis()).collect();
    assert_eq!(heads, [5000, 2000, 1500, 900, 5000].repeat(paths.len()));
    server.stop().await;
}

#[tokio::test]
async fn the_v2_body_tells_timeout_and_priority_in_json_and_in_binary_form() {
    let server = server().await;
    let header = [("x-request-timeout", "2s")];
    for parameters in [
        "",
        r#""timeout":1500000,"priority":1"#,
        r#""timeout":"1500000","priority":"1""#,
        r#""timeout":0,"priority":0"#,
        r#""timeout":60000000,"priority":11"#,
    ] {
        let body = with_parameters(parameters);
        let answer = server.send(Method::POST, "/v2/models/m/infer", &header, body).await;
        assert_eq!(answer.status, 200, "{parameters}: {}", answer.text());
    }
    let json = r#"{"parameters":{"timeout":1500000,"priority":9},"inputs":[{"name":"x","shape":[1,2],
        "datatype":"FP32","parameters":{"binary_data_size":8}}]}"#;
    let length = json.len().to_string();
    let binary = [("inference-header-content-length", length.as_str())];
    let body = [json.as_bytes(), &[0; 8]].concat();
    let answer = server.send(Method::POST, "/v2/models/m/infer", &binary, body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());

    let terms = |head, body: Option<u64>, priority| {
        let [head, body] = [Some(head), body].map(|ms| ms.map(Duration::from_millis));
        Terms { head: head.unwrap(), body, priority }
    };
    assert_eq!(
        server.mock.terms(),
        [
            terms(2000, None, 5),
            terms(2000, Some(1500), 1),
            terms(2000, Some(1500), 1),
            terms(2000, None, 5),
            terms(2000, Some(60_000), 5),
            terms(5000, Some(1500), 9),
        ]
    );
    server.stop().await;
}

#[tokio::test]
async fn what_is_no_timeout_is_400_and_names_where_it_stood() {
    let server = server().await;
    for (name, value) in
        [("x-request-timeout", "soon"), ("request-timeout", "0"), ("grpc-timeout", "5")]
    {
        for path in ["/v2/models/m/infer", "/v1/models/m:predict", "/predict"] {
            let answer = server.send(Method::POST, path, &[(name, value)], infer_body(1)).await;
            assert_eq!(answer.status, 400, "{path}: {}", answer.text());
            let error = answer.error();
            assert!(error.starts_with(&format!("header '{name}': expected ")), "{error}");
            assert!(error.ends_with(&format!("got \"{value}\"")), "{error}");
        }
    }
    assert_eq!(server.mock.counts().admitted, 0);
    for parameter in [r#""timeout":-1"#, r#""timeout":0.5"#, r#""priority":"high""#] {
        let answer = server.post("/v2/models/m/infer", with_parameters(parameter)).await;
        assert_eq!(answer.status, 400, "{parameter}: {}", answer.text());
        assert!(answer.error().contains("expected a whole number"), "{}", answer.error());
    }
    assert!(server.mock.terms().is_empty());
    server.stop().await;
}

#[tokio::test]
async fn an_answer_that_is_ready_after_the_deadline_is_504() {
    let server = server().await;
    // The body comes with the head, so nothing has to wait, and one nanosecond is over at once.
    let head = format!("{}grpc-timeout: 1n\r\nconnection: close\r\n", infer_head("m"));
    let answer = server.raw(infer_request("m").replacen(&infer_head("m"), &head, 1)).await;
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    for said in ["model 'm' version 1", "was ready after", "in the queue", "in execution"] {
        assert!(answer.contains(said), "{said}: {answer}");
    }
    let counts = server.mock.until(|counts| counts.held == 0).await;
    assert_eq!((counts.running, counts.errored, counts.responded), (1, 1, 0));
    server.stop().await;
}

#[tokio::test]
async fn a_body_may_take_no_longer_than_its_caller_waits() {
    let server = server().await;
    let head = format!("{}x-request-timeout: 30ms\r\ncontent-length: 100\r\n\r\n", infer_head("m"));
    let answer = server.raw(head).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("did not arrive within 30ms of its head"), "{answer}");
    server.mock.until(|counts| counts.held == 0 && counts.errored == 1).await;
    server.stop().await;
}
