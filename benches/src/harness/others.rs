//! Other generators beside ours: wrk and oha, where they are installed. What they print is read; what they are is not judged.

use std::ffi::OsStr;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::NamedTempFile;

use crate::Result;

/// What another generator said of its run.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub requests_per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Answers that were no success, and requests without an answer.
    pub errors: u64,
    /// User and system time of its process over wall time, in cores.
    pub cores: f64,
}

/// A program in PATH.
#[derive(Clone, Debug)]
pub struct Program(PathBuf);

impl Program {
    /// None when there is no such program.
    pub fn find(name: &str) -> Option<Self> {
        let paths = std::env::var_os("PATH")?;
        let found = std::env::split_paths(&paths).map(|folder| folder.join(name));
        found.into_iter().find(|path| path.is_file()).map(Self)
    }

    fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Result<(String, f64)> {
        let (start, before) = (std::time::Instant::now(), of_children()?);
        let output = Command::new(&self.0).args(arguments).output()?;
        let cores = (of_children()? - before).as_secs_f64() / start.elapsed().as_secs_f64();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok((text, cores));
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("{}: {}: {said}", self.0.display(), output.status).into())
    }
}

/// What all of them are asked to do: post this body in a closed loop or, where a rate is given, at that rate.
#[derive(Clone, Debug)]
pub struct Post<'a> {
    pub address: SocketAddr,
    pub body: &'a str,
    pub connections: usize,
    pub time: Duration,
}

impl Post<'_> {
    fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    fn seconds(&self) -> String {
        self.time.as_secs().max(1).to_string()
    }
}

/// One thread of wrk, in a closed loop: it knows no other.
pub fn wrk(program: &Program, post: &Post<'_>) -> Result<Told> {
    let mut script = NamedTempFile::new()?;
    // A body of JSON without control characters is a string of Lua between these brackets.
    writeln!(script, "wrk.method = 'POST'\nwrk.body = [==[{}]==]", post.body)?;
    writeln!(script, "wrk.headers['content-type'] = 'application/json'")?;
    let (connections, duration) = (post.connections.to_string(), format!("{}s", post.seconds()));
    let script = script.path().to_string_lossy().into_owned();
    let (text, cores) = program.run(&[
        "--threads",
        "1",
        "--connections",
        &connections,
        "--duration",
        &duration,
        "--latency",
        "--script",
        &script,
        &post.url(),
    ])?;
    parse_wrk(&text, cores).ok_or_else(|| format!("wrk printed something else:\n{text}").into())
}

/// One thread of oha; with a rate, in an open loop whose latencies are corrected.
pub fn oha(program: &Program, post: &Post<'_>, rate: Option<f64>) -> Result<Told> {
    let (connections, duration) = (post.connections.to_string(), format!("{}s", post.seconds()));
    let url = post.url();
    let mut arguments = vec![
        "--no-tui",
        "--output-format",
        "json",
        "--worker-threads",
        "1",
        "-m",
        "POST",
        "-T",
        "application/json",
        "-d",
        post.body,
        "-c",
        &connections,
        "-z",
        &duration,
    ];
    let rate = rate.map(|rate| rate.to_string());
    if let Some(rate) = &rate {
        arguments.extend(["--latency-correction", "-q", rate]);
    }
    arguments.push(&url);
    let (text, cores) = program.run(&arguments)?;
    parse_oha(&text, cores).ok_or_else(|| format!("oha printed something else:\n{text}").into())
}

fn parse_wrk(text: &str, cores: f64) -> Option<Told> {
    let line = |name: &str| {
        let after =
            |line: &'_ str| line.trim().strip_prefix(name).map(|rest| rest.trim().to_owned());
        text.lines().find_map(after)
    };
    let of_status =
        line("Non-2xx or 3xx responses:").map_or(Some(0), |count| count.parse().ok())?;
    let of_sockets: u64 = match line("Socket errors:") {
        None => 0,
        Some(errors) => errors
            .split(',')
            .map(|error| error.trim().rsplit_once(' ')?.1.parse::<u64>().ok())
            .sum::<Option<u64>>()?,
    };
    Some(Told {
        requests_per_second: line("Requests/sec:")?.parse().ok()?,
        p50_ms: wrk_time(&line("50%")?)?,
        p99_ms: wrk_time(&line("99%")?)?,
        errors: of_status + of_sockets,
        cores,
    })
}

/// `63.00us`, `1.20ms`, `2.00s`, `1.10m`: in milliseconds.
fn wrk_time(text: &str) -> Option<f64> {
    let units = [("us", 1e-3), ("ms", 1.0), ("s", 1e3), ("m", 6e4), ("h", 3.6e6)];
    units.iter().find_map(|(unit, ms)| {
        let number = text.strip_suffix(unit)?.parse::<f64>().ok()?;
        Some(number * ms)
    })
}

fn parse_oha(text: &str, cores: f64) -> Option<Told> {
    let told: Value = serde_json::from_str(text).ok()?;
    let count = |of: &Value, unless: fn(&str) -> bool| -> Option<u64> {
        let counts = of.as_object()?.iter().filter(|(name, _)| !unless(name));
        counts.map(|(_, count)| count.as_u64()).sum()
    };
    let of_status = count(&told["statusCodeDistribution"], |status| status.starts_with('2'))?;
    // What is still under way when the time ends is cut off, and no error of the server's.
    let of_sockets = count(&told["errorDistribution"], |error| error.contains("deadline"))?;
    let percentile = |name| Some(told["latencyPercentiles"][name].as_f64()? * 1e3);
    Some(Told {
        requests_per_second: told["summary"]["requestsPerSec"].as_f64()?,
        p50_ms: percentile("p50")?,
        p99_ms: percentile("p99")?,
        errors: of_status + of_sockets,
        cores,
    })
}

/// User and system time of all children that have ended and been waited for.
fn of_children() -> Result<Duration> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: a plain system call, which writes to the whole struct that it is given.
    if unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr()) } != 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    // SAFETY: zeroed is a valid value of these numbers, and the call has filled them.
    let usage = unsafe { usage.assume_init() };
    let of = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    Ok(Duration::from_secs_f64(of(usage.ru_utime) + of(usage.ru_stime)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRK: &str = "\
Running 2s test @ http://127.0.0.1:18999/
  1 threads and 2 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    43.82ms    6.14ms  48.03ms   97.78%
    Req/Sec    44.75      8.50    60.00     75.00%
  Latency Distribution
     50%  440.00us
     75%   45.39ms
     90%   47.63ms
     99%    1.20s
  90 requests in 2.01s, 10.15KB read
";

    #[test]
    fn what_wrk_prints_is_read() {
        let told = parse_wrk(&format!("{WRK}Requests/sec:     44.81\n"), 0.5).unwrap();
        let expected = Told {
            requests_per_second: 44.81,
            p50_ms: 0.44,
            p99_ms: 1200.0,
            errors: 0,
            cores: 0.5,
        };
        assert_eq!(told, expected);
        let errors = "  Socket errors: connect 1, read 2, write 0, timeout 3\n  Non-2xx or 3xx \
                      responses: 1321\nRequests/sec:  1.5\n";
        assert_eq!(parse_wrk(&format!("{WRK}{errors}"), 0.5).unwrap().errors, 1327);
    }

    #[test]
    fn what_wrk_does_not_print_is_not_made_up() {
        assert_eq!(parse_wrk(WRK, 0.5), None);
        assert_eq!(parse_wrk("", 0.5), None);
        assert_eq!(parse_wrk("  50%  1.0furlong\n  99% 1ms\nRequests/sec: 1\n", 0.5), None);
    }

    #[test]
    fn what_oha_prints_is_read() {
        let text = r#"{
            "summary": {"successRate": 1.0, "requestsPerSec": 1234.5},
            "latencyPercentiles": {"p50": 0.0005, "p99": 0.25},
            "statusCodeDistribution": {"200": 10, "503": 2},
            "errorDistribution": {"aborted due to deadline": 5, "connection refused": 1}
        }"#;
        let told = parse_oha(text, 0.5).unwrap();
        let expected =
            Told { requests_per_second: 1234.5, p50_ms: 0.5, p99_ms: 250.0, errors: 3, cores: 0.5 };
        assert_eq!(told, expected);
        assert_eq!(parse_oha("{}", 0.5), None);
        assert_eq!(parse_oha("oha: no", 0.5), None);
    }

    #[test]
    fn a_program_that_is_not_there_is_not_found() {
        assert!(Program::find("surely-no-such-generator").is_none());
        assert!(Program::find("sh").is_some());
    }
}
