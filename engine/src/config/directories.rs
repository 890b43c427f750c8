//! Where the files are that a document names: a relative path begins in the directory of the document
//! that says it. `${file:…}` is read by the front, which begins in the same directory.

use std::path::{Path, PathBuf};

use super::decode::Spanned;
use super::document::Document;

/// Finds the files that documents name.
#[derive(Clone, Copy)]
pub struct Directories<'a>(pub &'a [Document]);

impl Directories<'_> {
    /// The file or directory that is `written`.
    pub fn path(self, written: &Spanned<String>) -> PathBuf {
        let is_it = |document: &&Document| Some(document.index) == written.at.document_index();
        let said_by = self.0.iter().find(is_it);
        said_by.map_or(Path::new(""), |document| &document.directory).join(&written.value)
    }
}
