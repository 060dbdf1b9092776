//! What the readers of the layouts hand over: stories before their order and dependencies are settled.
//!
//! Invariant: a draft's key has been accepted by [`Drafts::push`], which keeps keys safe and unique and the number of
//! stories bounded.

use std::collections::BTreeMap;

use crate::finding::{Code, SourceRef};
use crate::key::{self, StoryNumber};
use crate::model::{HumanGate, Story, TakenFile, Task};
use crate::status::StoryStatus;
use crate::story_text::{DependencyText, content_hash};
use crate::survey::Survey;
use crate::text;

/// A story in the making.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) key: String,
    pub(crate) number: Option<StoryNumber>,
    pub(crate) epic: Option<String>,
    pub(crate) epic_title: Option<String>,
    pub(crate) title: String,
    pub(crate) body: String,
    /// What the content hash is made of besides title, instructions and gates.
    pub(crate) hashed: String,
    pub(crate) status: StoryStatus,
    pub(crate) source: SourceRef,
    pub(crate) story_file: Option<String>,
    pub(crate) acceptance: Vec<String>,
    pub(crate) tasks: Vec<Task>,
    pub(crate) human_gates: Vec<HumanGate>,
    pub(crate) instructions: Option<String>,
    pub(crate) related: Vec<TakenFile>,
    /// What its texts say that it depends on, and the file that says so.
    pub(crate) dependencies: Vec<(DependencyText, String)>,
}

impl Draft {
    /// A draft with what every story has; the rest is empty.
    pub(crate) fn new(key: String, title: String, status: StoryStatus, source: SourceRef) -> Self {
        Self {
            key,
            title,
            status,
            source,
            number: None,
            epic: None,
            epic_title: None,
            body: String::new(),
            hashed: String::new(),
            story_file: None,
            acceptance: Vec::new(),
            tasks: Vec::new(),
            human_gates: Vec::new(),
            instructions: None,
            related: Vec::new(),
            dependencies: Vec::new(),
        }
    }

    /// The finished story at a place in the order.
    pub(crate) fn into_story(self, order: u32) -> Story {
        let content_sha256 = content_hash(&self.title, &self.hashed, self.instructions.as_deref(), &self.human_gates);
        Story {
            key: self.key,
            number: self.number.map(|number| number.to_string()),
            epic: self.epic,
            epic_title: self.epic_title,
            title: self.title,
            body: self.body,
            status: self.status,
            source: self.source,
            story_file: self.story_file,
            content_sha256,
            order,
            acceptance: self.acceptance,
            tasks: self.tasks,
            human_gates: self.human_gates,
            instructions: self.instructions,
            related: self.related,
        }
    }
}

/// An entry of `cross_dependencies`.
#[derive(Debug)]
pub(crate) struct Cross {
    pub(crate) blocker: String,
    pub(crate) blocked: String,
    pub(crate) note: Option<String>,
    pub(crate) source: SourceRef,
}

/// Everything that one layout yields.
#[derive(Debug, Default)]
pub(crate) struct Drafts {
    pub(crate) stories: Vec<Draft>,
    /// Keys and numbers of stories that are there but were not taken: a dependency on one deserves a better word.
    pub(crate) skipped: Vec<(String, Option<StoryNumber>)>,
    pub(crate) cross: Vec<Cross>,
    /// Folded keys and where they were declared.
    taken: BTreeMap<String, SourceRef>,
    overflowed: bool,
}

impl Drafts {
    /// Takes a story, unless its key is unsafe or taken, or there are too many.
    pub(crate) fn push(&mut self, survey: &mut Survey<'_>, draft: Draft) {
        if !key::is_safe(&draft.key, survey.limits.max_key_chars) {
            let message = format!("the key {} is not safe to use", text::quote(&draft.key));
            survey.find(Code::UnsafeKey, draft.source.clone(), message);
            return self.skip(draft.key, draft.number);
        }
        if let Some(first) = self.taken.get(&draft.key.to_lowercase()) {
            let message = format!("the key {} is already that of the story at {first}", text::quote(&draft.key));
            survey.find(Code::KeyCollision, draft.source.clone(), message);
            return;
        }
        if self.stories.len() >= survey.limits.max_stories {
            if !std::mem::replace(&mut self.overflowed, true) {
                let message = format!(
                    "more than {} stories; this one and those after it were left out",
                    survey.limits.max_stories
                );
                survey.find(Code::TooManyStories, draft.source.clone(), message);
            }
            return self.skip(draft.key, draft.number);
        }
        self.taken.insert(draft.key.to_lowercase(), draft.source.clone());
        self.stories.push(draft);
    }

    /// Remembers a story that was not taken.
    pub(crate) fn skip(&mut self, key: String, number: Option<StoryNumber>) {
        self.skipped.push((key, number));
    }
}
