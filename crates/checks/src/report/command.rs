//! Which report format a test command has.
//!
//! Invariant: a guess from the command's own words alone; where they don't say, there is none.

use super::Format;

/// Words before the program that runs the tests: they run what follows.
const RUNNERS: [&str; 14] =
    ["npx", "bunx", "pnpx", "yarn", "pnpm", "npm", "uv", "poetry", "pipenv", "hatch", "pdm", "env", "time", "nice"];

/// Words between such a runner and the program.
const BETWEEN: [&str; 4] = ["run", "exec", "dlx", "--"];

/// Guesses the report format from a test command, e.g. `["cargo", "nextest", "run"]` → [`Format::Nextest`]. A guess only: what
/// the project's rules say comes first. Scripts (`npm test`, `make test`) and shells say nothing.
#[must_use]
pub fn format_of(argv: &[String]) -> Option<Format> {
    let words: Vec<&str> = argv.iter().map(String::as_str).collect();
    let mut words = &words[..];
    let mut after_runner = false;
    while let [first, rest @ ..] = words {
        let is_setting = first.split_once('=').is_some_and(|(name, _)| is_variable(name));
        if RUNNERS.contains(first)
            || is_setting
            || (after_runner && (BETWEEN.contains(first) || first.starts_with('-')))
        {
            after_runner = true;
            words = rest;
        } else {
            break;
        }
    }
    let [program, rest @ ..] = words else { return None };
    let program = program.rsplit(['/', '\\']).next().unwrap_or(program);
    let program = program.strip_suffix(".exe").unwrap_or(program);
    let has = |word: &str| rest.contains(&word);
    let value_of = |option: &str| {
        rest.iter()
            .find_map(|arg| arg.strip_prefix(option)?.strip_prefix('='))
            .or_else(|| rest.iter().position(|arg| *arg == option).and_then(|at| rest.get(at + 1)).copied())
    };
    match program {
        "pytest" | "py.test" => Some(Format::Pytest),
        "cargo" => cargo(rest),
        "cargo-nextest" => Some(Format::Nextest),
        "go" if rest.first() == Some(&"test") => Some(Format::GoTest),
        "vitest" if value_of("--reporter") == Some("junit") => Some(Format::Junit),
        "vitest" => Some(Format::Vitest),
        "jest" => Some(Format::Jest),
        "node" if has("--test") => match value_of("--test-reporter") {
            Some("junit") => Some(Format::Junit),
            None | Some("spec" | "tap") => Some(Format::Node),
            Some(_) => None,
        },
        "tap" | "tape" | "bats" => Some(Format::Tap),
        _ if is_python(program) => python(rest),
        _ => None,
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

fn is_python(program: &str) -> bool {
    program.strip_prefix("python").is_some_and(|version| version.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
}

fn python(rest: &[&str]) -> Option<Format> {
    // "-m pytest" and "-mpytest"; what stands before it are the interpreter's own options.
    let at = rest.iter().position(|arg| arg.starts_with("-m"))?;
    let module = rest[at].strip_prefix("-m").filter(|module| !module.is_empty()).or(rest.get(at + 1).copied())?;
    match module {
        "pytest" => Some(Format::Pytest),
        "unittest" => Some(Format::Unittest),
        _ => None,
    }
}

fn cargo(rest: &[&str]) -> Option<Format> {
    let mut words = rest.iter().filter(|word| !word.starts_with('+') && !word.starts_with('-'));
    match (words.next().copied(), words.next().copied()) {
        (Some("test" | "t"), _) => Some(Format::CargoTest),
        (Some("nextest"), Some("run" | "r")) => Some(Format::Nextest),
        _ => None,
    }
}
