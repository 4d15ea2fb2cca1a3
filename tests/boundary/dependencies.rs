//! What uses what: between files, between the rooms of a folder, and between the top-level modules.

use std::collections::{BTreeMap, BTreeSet};

use crate::circles::Graph;
use crate::names::{End, Followed};
use crate::source::{How, Path, Tree, Use};

/// Files, each with the files whose definitions it uses. A re-export is not a use of its own: a file that names it uses
/// the file that defines it.
pub(crate) fn between_files(tree: &Tree) -> Graph {
    let mut graph = Graph::new();
    for used in &tree.uses {
        let own = &tree.modules[&used.module].file;
        for followed in tree.follow_use(used) {
            let End::Item(module) = followed.end else { continue };
            let file = &tree.modules[&module].file;
            let is_inner_reexport = used.how == How::Reexport && tree.files[file].starts_with(&tree.files[own]);
            if file != own && !is_inner_reexport {
                graph.entry(own.clone()).or_default().insert(file.clone());
            }
        }
    }
    graph
}

/// For each folder, by its module path, what its rooms use of each other. A room is a folder or a file.
pub(crate) fn between_rooms(tree: &Tree) -> BTreeMap<String, Graph> {
    let mut folders: BTreeMap<String, Graph> = BTreeMap::new();
    for used in &tree.uses {
        for followed in tree.follow_use(used) {
            for other in modules_of(&followed) {
                let common = used.module.iter().zip(&other).take_while(|(one, two)| one == two).count();
                if let (Some(own), Some(other)) = (used.module.get(common), other.get(common))
                    && common > 0
                {
                    let graph = folders.entry(used.module[..common].join("/")).or_default();
                    graph.entry(own.clone()).or_default().insert(other.clone());
                }
            }
        }
    }
    folders
}

/// Whether other files stand below this module.
pub(crate) fn is_folder(tree: &Tree, module: &[String]) -> bool {
    tree.files.values().any(|file| file.len() > module.len() && file.starts_with(module))
}

/// The top-level modules that a use names itself or by re-exports.
pub(crate) fn top_level_modules(tree: &Tree, used: &Use) -> BTreeSet<String> {
    tree.follow_use(used).iter().flat_map(modules_of).filter_map(|module| module.first().cloned()).collect()
}

/// Whether a use needs something that stands in `lib.rs` itself.
pub(crate) fn uses_the_root(tree: &Tree, used: &Use) -> bool {
    tree.follow_use(used).iter().any(|followed| followed.end == End::Item(Vec::new()))
}

fn modules_of(followed: &Followed) -> BTreeSet<Path> {
    let mut modules: BTreeSet<Path> = followed.through.iter().cloned().collect();
    if let End::Item(module) = &followed.end {
        modules.insert(module.clone());
    }
    modules
}

/// The full names outside the crate that a use means by itself, without the re-exports of other modules.
pub(crate) fn named_outside(tree: &Tree, used: &Use) -> Vec<Path> {
    let followed = tree.follow_use(used).into_iter();
    let own = followed.filter(|followed| followed.through.iter().all(|module| *module == used.module));
    own.filter_map(|followed| match followed.end {
        End::Outside(path) => Some(path),
        End::Item(_) | End::Module(_) => None,
    })
    .collect()
}
