//! Reads what the real runners wrote, and what a cheat would write.
#![expect(clippy::expect_used, clippy::panic, reason = "a fixture that can't be read fails the test")]

mod forgeries;
mod guesses;
mod properties;
mod runs;

use std::path::Path;

use damascus_checks::report::{Format, Output, Tests, Unreadable, read};
use damascus_core::named::Named as _;

/// What one run left behind, from the folder of fixtures.
#[derive(Debug, Clone)]
struct Run {
    format: Format,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    file: Option<Vec<u8>>,
    exit_code: i32,
}

impl Run {
    fn fixture(format: Format, name: &str) -> Self {
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report/fixtures").join(folder(format));
        let part = |end: &str| std::fs::read(place.join(format!("{name}.{end}"))).ok();
        let code = part("code").unwrap_or_else(|| panic!("no fixture {format:?} {name}"));
        Self {
            format,
            stdout: part("stdout").unwrap_or_default(),
            stderr: part("stderr").unwrap_or_default(),
            file: part("xml"),
            exit_code: String::from_utf8(code).expect("text").trim().parse().expect("an exit code"),
        }
    }

    /// What was printed to standard output alone, with exit code 0: what a forger reaches for.
    fn printed(format: Format, stdout: &str) -> Self {
        Self { format, stdout: stdout.into(), stderr: Vec::new(), file: None, exit_code: 0 }
    }

    fn xml(file: &str) -> Self {
        Self { format: Format::Junit, stdout: Vec::new(), stderr: Vec::new(), file: Some(file.into()), exit_code: 0 }
    }

    fn output(&self) -> Output<'_> {
        Output {
            stdout: &self.stdout,
            stderr: &self.stderr,
            truncated: false,
            file: self.file.as_deref(),
            exit_code: self.exit_code,
        }
    }

    fn read(&self) -> Result<Tests, Unreadable> {
        read(self.format, &self.output())
    }
}

fn folder(format: Format) -> &'static str {
    match format {
        Format::CargoTest => "cargo",
        Format::GoTest => "go",
        format => format.name(),
    }
}

/// Every fixture of every format.
fn fixtures() -> Vec<(String, Run)> {
    let mut found = Vec::new();
    for format in Format::ALL {
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report/fixtures").join(folder(*format));
        let Ok(entries) = std::fs::read_dir(place) else { continue };
        for entry in entries {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|end| end == "code") {
                let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
                found.push((format!("{} {name}", folder(*format)), Run::fixture(*format, &name)));
            }
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}
