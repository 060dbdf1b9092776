//! Work items: creating, naming, listing, showing, holding.
//!
//! Invariants: an item is created whole, with its story, its gates and its first event; what an item waits for is derived from its row and
//! never stored beside it; a list costs no more when millions of items have ended.

mod hold;
mod list;
mod new;
mod reference;
pub(crate) mod row;
mod show;
pub(crate) mod standing;
mod story;

pub use list::{Item, ItemFilter, ItemPage, MAX_PAGE};
pub use new::{CreatedItem, MAX_NEW_ITEMS, NewItem, StorySource};
pub use show::{Cost, EventView, ItemDetail, Landing, RunView};
pub use standing::{ClosedGate, Standing, Upstream};
pub use story::{ExistingStory, RevisedStory, Story};
