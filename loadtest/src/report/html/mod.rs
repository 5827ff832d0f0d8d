//! The report as one page that opens without a network: plots and style are in it, and no script is.
//!
//! The order is that of a reader's questions: may I believe it, what came out, how does it look, what exactly was
//! measured, where and how.

mod load;
mod markup;
mod outcome;

use markup::Text;

use super::groups::shown;
use super::svg::{self, Figure};
use super::words::{bytes, counted};
use crate::figures::Report;

const STYLE: &str = include_str!("style.css");

pub fn page(report: &Report) -> String {
    let figures = svg::figures(report);
    let title = title(report);
    let groups = shown(report);
    let mut body = format!(
        "<h1>{}</h1>\n<p class=\"muted\">{}, {}</p>\n",
        Text(&title),
        Text(&report.started),
        Text(&targets(report).join(", "))
    );
    body += &outcome::verdicts(report);
    body += &outcome::key_figures(report, &groups);
    body += &plots(&figures, None);
    body += &outcome::scenario(report);
    body += &outcome::search(report);
    for group in &groups {
        body += &load::section(group, groups.len(), &plots(&figures, Some(group.index)));
    }
    body += &origin(report);
    let dark = svg::dark_style();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{}</title>\n<style>\n{STYLE}{dark}</style>\n</head>\n<body>\n{body}</body>\n</html>\n",
        Text(&title)
    )
}

fn title(report: &Report) -> String {
    let what = match (&report.scenario, &report.search) {
        (Some(scenario), _) => return format!("Scenario: {}", scenario.name),
        (None, Some(_)) => "Search for the highest rate",
        (None, None) => "Load test",
    };
    match targets(report)[..] {
        [target] => format!("{what}: {target}"),
        ref targets => format!("{what}: {} targets", targets.len()),
    }
}

/// In the order in which they were asked first.
fn targets(report: &Report) -> Vec<&str> {
    let mut targets: Vec<&str> = Vec::new();
    for run in &report.runs {
        if !targets.contains(&run.target.as_str()) {
            targets.push(&run.target);
        }
    }
    targets
}

fn plots(figures: &[Figure], of: Option<usize>) -> String {
    let figures = figures.iter().filter(|figure| figure.run == of);
    figures.map(|figure| format!("<figure>\n{}</figure>\n", inline(figure))).collect()
}

/// Inside a page the name space goes without saying, and no address stands in it.
fn inline(figure: &Figure) -> String {
    let label = format!("class=\"plot\" role=\"img\" aria-label=\"{}\"", Text(&figure.name));
    figure.svg.replacen("xmlns=\"http://www.w3.org/2000/svg\"", &label, 1)
}

fn origin(report: &Report) -> String {
    let machine = &report.machine;
    let facts = format!(
        "{} {}, seed {}. {}, {}, {} of memory, {}.",
        report.tool.name,
        report.tool.version,
        report.seed,
        machine.processor,
        counted(machine.cores as u64, "core"),
        bytes(machine.memory_bytes),
        machine.system
    );
    format!(
        "<h2>How it was measured</h2>\n<pre>{}</pre>\n<p>{}</p>\n\
         <p class=\"muted\">Every figure of this page is in report.json (schema {}).</p>\n",
        Text(&report.command.join(" ")),
        Text(&facts),
        Text(&report.schema)
    )
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn every() -> Vec<Report> {
        vec![
            sample::single(),
            sample::versus(3),
            sample::closed(),
            sample::invalid(),
            sample::search(),
            sample::scenario(false),
            sample::hostile(),
            sample::empty(),
        ]
    }

    #[test]
    fn nothing_is_fetched_and_nothing_runs() {
        for report in every() {
            let page = page(&report).to_lowercase();
            for word in
                ["<script", "<link", "<img", "<iframe", "@import", "url(", " src=\"", " href=\""]
            {
                assert!(!page.contains(word), "{word}");
            }
            assert!(!page.contains(" onload=") && !page.contains("javascript:"));
        }
    }

    #[test]
    fn text_from_outside_stays_text() {
        let page = page(&sample::hostile());
        assert!(page.contains("&lt;/style&gt;&lt;script src=&quot;http://evil.example/x.js&quot;"));
        assert_eq!(page.matches("</style>").count(), 1);
        assert!(!page.contains('\u{1b}'));
    }

    #[test]
    fn every_element_that_opens_is_closed() {
        for report in every() {
            let page = page(&report);
            for tag in [
                "html", "head", "body", "table", "tr", "td", "th", "div", "figure", "svg", "dl",
                "p",
            ] {
                let opened = page.matches(&format!("<{tag}>")).count()
                    + page.matches(&format!("<{tag} ")).count();
                assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
            }
        }
    }

    #[test]
    fn the_verdict_comes_before_any_figure() {
        let before_figures = |report| {
            let page = page(&report);
            page.split("<figure").next().unwrap_or_default().to_owned()
        };
        assert!(before_figures(sample::single()).contains("<strong>Valid"));
        let invalid = before_figures(sample::invalid());
        assert!(invalid.contains("<strong>INVALID") && invalid.contains("99 % of a core"));
        assert!(before_figures(sample::scenario(false)).contains("<strong>FAILED"));
        assert!(before_figures(sample::search()).contains("2,750 requests/s"));
    }
}
