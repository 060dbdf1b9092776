//! What a run leaves for people to look at: texts beside its report.
//!
//! Invariant: nothing of it decides anything, so a failure to write it is noted and the run goes on.

use super::scene::Scene;

/// How large a text of a run may be, in bytes.
pub(crate) const ARTIFACT_MAX_BYTES: usize = 512 << 10;

impl Scene {
    /// Keeps a text of this run under a name.
    pub(crate) async fn keep_text(&self, name: &str, text: &str, cut: bool) {
        let (text, shortened) = shorten(text);
        let text = damascus_core::display::many_lines(text, ARTIFACT_MAX_BYTES);
        if let Err(error) = self.workshop.parts.store.put_artifact(&self.run.lease, name, &text, cut || shortened).await
        {
            self.note("a text of the run could not be kept", &error);
        }
    }
}

fn shorten(text: &str) -> (&str, bool) {
    if text.len() <= ARTIFACT_MAX_BYTES {
        return (text, false);
    }
    let mut end = ARTIFACT_MAX_BYTES;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    (&text[..end], true)
}
