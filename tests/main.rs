//! The stories, the golden cases and the walls.
