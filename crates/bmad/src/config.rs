//! Where a project keeps its artifacts.
//!
//! Invariant: every location is a relative path without `..`; a configuration that cannot be read, or that points
//! elsewhere, is reported and replaced by the next one or by the defaults.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use crate::finding::{Code, SourceRef};
use crate::model::FileRole;
use crate::survey::{ReadYaml, Survey};
use crate::text;
use crate::yaml_lines;

const DEFAULT_OUTPUT: &str = "_bmad-output";
/// The version 6 configuration and the layers over it, weakest first.
const TOML_LAYERS: [&str; 4] =
    ["_bmad/config.toml", "_bmad/config.user.toml", "_bmad/custom/config.toml", "_bmad/custom/config.user.toml"];
/// Where versions without `config.toml` keep theirs; the last two are from before the release of version 6.
const YAML_FILES: [&str; 3] = ["_bmad/bmm/config.yaml", "bmad/bmm/config.yaml", ".bmad/bmm/config.yaml"];
/// The configuration of version 4.
pub(crate) const V4_CONFIG: &str = ".bmad-core/core-config.yaml";
const V4_DEFAULT_STORIES: &str = "docs/stories";

const OUTPUT: &str = "output_folder";
const PLANNING: &str = "planning_artifacts";
const IMPLEMENTATION: &str = "implementation_artifacts";
/// Names that versions before the release of 6 used for the folder of tracking and stories.
const ALPHA_FOLDERS: [&str; 3] = ["sprint_artifacts", "dev_story_location", "dev_ephemeral_location"];
const V4_STORIES: &str = "devStoryLocation";

/// Folders, relative to the root.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Locations {
    /// Holds `specs/`.
    pub(crate) output: String,
    /// Holds the epics.
    pub(crate) planning: String,
    /// Holds the tracking and the stories.
    pub(crate) implementation: String,
    /// Folders for tracking and stories that a configuration from before the release of version 6 names.
    pub(crate) alpha: Vec<String>,
}

type Values = BTreeMap<String, (String, SourceRef)>;

/// Reads the configuration of version 6.
pub(crate) fn read(survey: &mut Survey<'_>) -> Locations {
    let values = toml_values(survey).or_else(|| yaml_values(survey)).unwrap_or_default();
    let output = folder(survey, &values, OUTPUT, None).unwrap_or_else(|| DEFAULT_OUTPUT.to_owned());
    let planning = folder(survey, &values, PLANNING, Some(&output));
    let implementation = folder(survey, &values, IMPLEMENTATION, Some(&output));
    let mut alpha: Vec<_> =
        ALPHA_FOLDERS.iter().filter_map(|name| folder(survey, &values, name, Some(&output))).collect();
    if output != DEFAULT_OUTPUT {
        alpha.push(output.clone());
    }
    Locations {
        planning: planning.unwrap_or_else(|| format!("{output}/planning-artifacts")),
        implementation: implementation.unwrap_or_else(|| format!("{output}/implementation-artifacts")),
        output,
        alpha,
    }
}

/// The folder of stories of version 4; call it only if [`V4_CONFIG`] is there.
pub(crate) fn read_v4(survey: &mut Survey<'_>) -> String {
    let values = yaml_file(survey, V4_CONFIG, &[V4_STORIES]).unwrap_or_default();
    folder(survey, &values, V4_STORIES, None).unwrap_or_else(|| V4_DEFAULT_STORIES.to_owned())
}

fn toml_values(survey: &mut Survey<'_>) -> Option<Values> {
    if !survey.is_file(TOML_LAYERS[0]) {
        return None;
    }
    let mut values = Values::new();
    for (layer, path) in TOML_LAYERS.iter().enumerate() {
        if !survey.is_file(path) {
            continue;
        }
        let parsed = survey.text(path, FileRole::Config, survey.limits.max_yaml_bytes).map(|text| {
            let table = text.parse::<toml::Table>();
            table.map_err(|error| (line_at(&text, error.span().map_or(0, |span| span.start)), error))
        });
        let table = match parsed {
            Some(Ok(table)) => table,
            Some(Err((line, error))) => {
                let message = format!("does not parse: {}", text::quote(error.message()));
                survey.find(Code::TomlUnparseable, SourceRef::line(path, line), message);
                // Without its base the layers mean little: let another configuration speak.
                if layer == 0 {
                    return None;
                }
                continue;
            }
            None if layer == 0 => return None,
            None => continue,
        };
        let bmm = table.get("modules").and_then(|modules| modules.get("bmm"));
        for section in [table.get("core"), bmm].into_iter().flatten().filter_map(toml::Value::as_table) {
            for (key, value) in section {
                if let Some(value) = value.as_str() {
                    values.insert(key.clone(), (value.to_owned(), SourceRef::file(path)));
                }
            }
        }
    }
    Some(values)
}

fn line_at(text: &str, offset: usize) -> u32 {
    let lines = text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
    u32::try_from(lines).unwrap_or(u32::MAX).saturating_add(1)
}

fn yaml_values(survey: &mut Survey<'_>) -> Option<Values> {
    let names: Vec<_> = [OUTPUT, PLANNING, IMPLEMENTATION].into_iter().chain(ALPHA_FOLDERS).collect();
    let path = YAML_FILES.into_iter().find(|path| survey.is_file(path))?;
    yaml_file(survey, path, &names)
}

fn yaml_file(survey: &mut Survey<'_>, path: &str, names: &[&str]) -> Option<Values> {
    let mut values = Values::new();
    match survey.yaml(path, FileRole::Config)? {
        ReadYaml::Tree(root) => {
            for (key, value) in root.iter().flat_map(|root| root.entries()) {
                if let (Some(key), Some(text), false) = (key.as_str(), value.as_str(), value.is_null()) {
                    values.insert(key.to_owned(), (text.to_owned(), SourceRef::line(path, value.line)));
                }
            }
        }
        ReadYaml::Broken { text, line, message } => {
            for entry in yaml_lines::top_level(&text) {
                values.insert(entry.key, (entry.value, SourceRef::line(path, entry.line)));
            }
            let read: Vec<_> = names.iter().copied().filter(|name| values.contains_key(*name)).collect();
            let (code, rest) = if read.is_empty() {
                (Code::YamlUnparseable, "nothing could be read, the defaults are used".to_owned())
            } else {
                (Code::YamlReadByLine, format!("read line by line: {}", read.join(", ")))
            };
            survey.find(
                code,
                SourceRef::line(path, line),
                format!("does not parse: {}; {rest}", text::quote(&message)),
            );
        }
    }
    Some(values)
}

/// A configured folder as a relative path.
fn folder(survey: &mut Survey<'_>, values: &Values, name: &str, output: Option<&str>) -> Option<String> {
    let (value, source) = values.get(name)?;
    match relative(survey.root.path(), value, output) {
        Ok(path) => Some(path),
        Err(why) => {
            let message = format!("{name} is {}, which {why}; the default is used", text::quote(value));
            survey.find(Code::ConfigPathRefused, source.clone(), message);
            None
        }
    }
}

/// Makes a configured path relative to the root, or says why not.
pub(crate) fn relative(root: &Path, value: &str, output: Option<&str>) -> Result<String, &'static str> {
    let mut value = value.trim().to_owned();
    if let Some(output) = output {
        value = value.replace("{output_folder}", output);
    }
    for placeholder in ["{project-root}", "{project_root}"] {
        if let Some(rest) = value.strip_prefix(placeholder) {
            value = rest.trim_start_matches('/').to_owned();
        }
    }
    if value.contains(['{', '}']) {
        return Err("holds a placeholder that is not known here");
    }
    if value.chars().any(text::is_unsafe) {
        return Err("holds control characters");
    }
    let path = Path::new(&value);
    let path = path.strip_prefix(root).unwrap_or(path);
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str().ok_or("is not UTF-8")?),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err("leaves the repository"),
        }
    }
    Ok(if parts.is_empty() { ".".to_owned() } else { parts.join("/") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configured_paths() {
        let read = |value| relative(Path::new("/repo"), value, Some("out"));
        assert_eq!(read("{project-root}/docs/x/").as_deref(), Ok("docs/x"));
        assert_eq!(read("{output_folder}/planning").as_deref(), Ok("out/planning"));
        assert_eq!(read("./docs").as_deref(), Ok("docs"));
        assert_eq!(read("/repo/docs").as_deref(), Ok("docs"));
        assert_eq!(read("{project-root}").as_deref(), Ok("."));
        for bad in ["/etc", "../x", "docs/../../x", "{project-root}/../x", "{unknown}/x", "a\u{1b}[2J"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
