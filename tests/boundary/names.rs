//! Finds what a written path means: through imports, re-exports and globs to the file that defines the name, as the
//! compiler would. A path that leaves the crate is expanded to its full name.

use crate::source::{BINARY, How, Name, Path, Tree, Use, Written};

/// What a path leads to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum End {
    /// Something that this module defines.
    Item(Path),
    Module(Path),
    /// Something of another crate, with its full name.
    Outside(Path),
}

/// A path that has been followed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Followed {
    /// The modules that the path and the re-exports on its way name.
    pub(crate) through: Vec<Path>,
    pub(crate) end: End,
}

impl Followed {
    /// The first top-level module that the path names, unless it is the writer's own.
    pub(crate) fn named_first(&self, writer: &[String]) -> Option<String> {
        let first = self.through.iter().filter_map(|module| module.first()).find(|first| writer.first() != Some(first));
        first.cloned()
    }
}

/// The names that are being looked up, so that imports that lead to each other come to an end.
type Pending = Vec<(Path, String)>;

/// The crate's own name, by which the binary and tests know it.
const LIBRARY: &str = "sluice";

impl Tree {
    /// All that a use leads to: one place, or one for each namespace or name of a glob.
    pub(crate) fn follow_use(&self, used: &Use) -> Vec<Followed> {
        let followed = self.follow(&used.module, &used.written);
        if used.how != How::Glob {
            return followed;
        }
        let mut all = Vec::new();
        for one in followed {
            match &one.end {
                End::Module(module) => {
                    for name in self.modules[module].names.keys() {
                        all.extend(self.walk(module, std::slice::from_ref(name), &mut Vec::new()));
                    }
                }
                End::Item(_) | End::Outside(_) => all.push(one),
            }
        }
        all
    }

    pub(crate) fn follow(&self, module: &[String], written: &Written) -> Vec<Followed> {
        let found = self.follow_path(module, written, &mut Vec::new());
        if !found.is_empty() {
            return found;
        }
        // A name that no item bears is made by a macro of the module that should have it.
        for length in (1..written.path.len()).rev() {
            let shorter = Written { path: written.path[..length].to_vec(), ..written.clone() };
            for followed in self.follow_path(module, &shorter, &mut Vec::new()) {
                if let End::Module(module) = followed.end {
                    return vec![Followed { through: followed.through, end: End::Item(module) }];
                }
            }
        }
        vec![Followed { through: Vec::new(), end: End::Outside(written.path.clone()) }]
    }

    /// Nothing for a path into this crate that no module defines.
    fn follow_path(&self, module: &[String], written: &Written, pending: &mut Pending) -> Vec<Followed> {
        let outside = || vec![Followed { through: Vec::new(), end: End::Outside(written.path.clone()) }];
        let Some(first) = written.path.first() else { return Vec::new() };
        if written.is_absolute && first != LIBRARY {
            return outside();
        }
        let is_binary = module.first().is_some_and(|first| first == BINARY);
        let root = if is_binary { &module[..1] } else { &[] };
        match first.as_str() {
            "crate" => self.walk(root, &written.path[1..], pending),
            LIBRARY => self.walk(&[], &written.path[1..], pending),
            "self" => self.walk(module, &written.path[1..], pending),
            "super" => {
                let ups = written.path.iter().take_while(|word| *word == "super").count();
                let Some(above) = module.len().checked_sub(ups) else { return Vec::new() };
                self.walk(&module[..above], &written.path[ups..], pending)
            }
            _ => {
                let found = self.walk(module, &written.path, pending);
                if found.is_empty() { outside() } else { found }
            }
        }
    }

    /// Follows `path` from inside `module`.
    fn walk(&self, module: &[String], path: &[String], pending: &mut Pending) -> Vec<Followed> {
        let Some((first, rest)) = path.split_first() else {
            return vec![Followed { through: vec![module.to_vec()], end: End::Module(module.to_vec()) }];
        };
        let here = (module.to_vec(), first.clone());
        let Some(names) = self.modules.get(module).filter(|_| !pending.contains(&here)) else { return Vec::new() };
        pending.push(here);
        let mut found = Vec::new();
        for name in names.names.get(first).into_iter().flatten() {
            found.extend(match name {
                Name::Item => vec![Followed { through: Vec::new(), end: End::Item(module.to_vec()) }],
                Name::Module => self.walk(&[module, std::slice::from_ref(first)].concat(), rest, pending),
                Name::Import(import) => {
                    let path = [import.path.as_slice(), rest].concat();
                    self.follow_path(module, &Written { path, ..import.clone() }, pending)
                }
            });
        }
        if found.is_empty() {
            for glob in &names.globs {
                for followed in self.follow_path(module, glob, pending) {
                    if let End::Module(other) = followed.end {
                        found.extend(self.walk(&other, path, pending));
                    }
                }
            }
        }
        pending.pop();
        for followed in &mut found {
            followed.through.insert(0, module.to_vec());
        }
        found
    }
}
