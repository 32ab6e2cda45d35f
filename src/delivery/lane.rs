//! Lanes: the messages of one batch that can only go or wait together, because they leave from one
//! number at one priority, with one template, in the same hours. What stands still stands still by
//! lanes, so that the rest of a batch goes on.

use serde::{Deserialize, Serialize};

use crate::batch::{Content, Message, Phone, Priority, SendWindow};

/// What the messages of a lane have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lane {
    /// The number they leave from.
    pub from: Phone,
    /// Name and language of the template; `None` for session messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<(String, String)>,
    /// How soon they go.
    #[serde(default)]
    pub priority: Priority,
    /// The hours in which they may go; `None` for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_window: Option<SendWindow>,
    /// Whether they go in their tenant's quiet hours too.
    #[serde(default)]
    pub ignore_quiet_hours: bool,
}

impl Lane {
    /// The lane that a message belongs to.
    pub fn of(message: &Message) -> Self {
        Self {
            from: message.from.clone(),
            template: template(message).map(|(name, language)| (name.into(), language.into())),
            priority: message.priority,
            send_window: message.send_window.clone(),
            ignore_quiet_hours: message.ignore_quiet_hours,
        }
    }

    /// Whether a message belongs here.
    pub fn holds(&self, message: &Message) -> bool {
        let own = self.template.as_ref();
        self.from == message.from
            && own.map(|(name, language)| (name.as_str(), language.as_str())) == template(message)
            && self.priority == message.priority
            && self.send_window == message.send_window
            && self.ignore_quiet_hours == message.ignore_quiet_hours
    }

    /// The place of its priority: 0 goes first.
    pub const fn class(&self) -> usize {
        self.priority as usize
    }
}

fn template(message: &Message) -> Option<(&str, &str)> {
    match &message.content {
        Content::Template(filling) => Some((&filling.name, &filling.language)),
        _ => None,
    }
}
