//! Reads the modules of a crate with `syn`: the names that each module defines, imports and re-exports, and every path
//! that its code names. What is compiled for tests alone is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// A path of modules or names, e.g. `["forward", "packet"]`.
pub(crate) type Path = Vec<String>;

/// What a name stands for in a module.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Name {
    /// A type, function, constant, trait or macro that the module defines.
    Item,
    Module,
    Import(Written),
}

/// A path as the code writes it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Written {
    pub(crate) path: Path,
    /// Starts with `::`, so that its first name is a crate.
    pub(crate) is_absolute: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum How {
    /// A private `use` or a path in the code.
    Named,
    /// A private `use ...::*`.
    Glob,
    /// A `use` that others can see.
    Reexport,
}

/// One place where a module names something.
pub(crate) struct Use {
    pub(crate) module: Path,
    pub(crate) written: Written,
    pub(crate) how: How,
}

#[derive(Default)]
pub(crate) struct Module {
    /// Relative to `src/`, e.g. `forward/packet.rs`.
    pub(crate) file: String,
    pub(crate) names: BTreeMap<String, Vec<Name>>,
    pub(crate) globs: Vec<Written>,
}

/// All modules that are compiled outside of tests.
#[derive(Default)]
pub(crate) struct Tree {
    pub(crate) modules: BTreeMap<Path, Module>,
    pub(crate) uses: Vec<Use>,
    /// Modules of the files, by file.
    pub(crate) files: BTreeMap<String, Path>,
    /// Modules that are compiled for tests alone and have files of their own.
    pub(crate) tests: BTreeSet<Path>,
    /// Files called `mod.rs` that hold more than documentation, `mod` and re-exports, with the item that is too much.
    pub(crate) crowded: BTreeMap<String, String>,
}

/// The binary is a crate of its own beside the library, whose modules have paths from its root.
pub(crate) const BINARY: &str = "main";

impl Tree {
    /// Reads `lib.rs`, `main.rs` where there is one, and the files that they lead to.
    pub(crate) fn read(files: &BTreeMap<String, String>) -> Self {
        let mut tree = Self::default();
        tree.read_file(files, "lib.rs", Vec::new());
        if files.contains_key("main.rs") {
            tree.read_file(files, "main.rs", vec![BINARY.to_string()]);
        }
        tree
    }

    fn read_file(&mut self, files: &BTreeMap<String, String>, name: &str, module: Path) {
        let text = files.get(name).unwrap_or_else(|| panic!("src/{name} is missing"));
        let syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("src/{name}: {error}"));
        self.files.insert(name.to_string(), module.clone());
        if name.ends_with("mod.rs") {
            let code = syntax.items.iter().find(|item| !is_for_tests(attributes(item)) && !belongs_in_mod_rs(item));
            self.crowded.extend(code.map(|item| (name.to_string(), kind(item).to_string())));
        }
        let mut reader = Reader { tree: self, file: name.to_string(), module, children: Vec::new() };
        reader.read_items(&syntax.items);
        for attribute in &syntax.attrs {
            reader.visit_attribute(attribute);
        }
        for child in mem::take(&mut reader.children) {
            let directory = directory_of_children(name, &child);
            let own = format!("{directory}.rs");
            let file = if files.contains_key(&own) { own } else { format!("{directory}/mod.rs") };
            self.read_file(files, &file, child);
        }
    }
}

/// Where the files of the module `child` stand, which the file `parent` declares.
fn directory_of_children(parent: &str, child: &[String]) -> String {
    match parent {
        "main.rs" => child[1..].join("/"),
        _ => child.join("/"),
    }
}

fn belongs_in_mod_rs(item: &syn::Item) -> bool {
    match item {
        syn::Item::Mod(module) => module.content.is_none(),
        syn::Item::Use(item) => !matches!(item.vis, syn::Visibility::Inherited),
        _ => false,
    }
}

fn kind(item: &syn::Item) -> &'static str {
    match item {
        syn::Item::Mod(_) => "a module with a body",
        syn::Item::Use(_) => "a private import",
        syn::Item::Fn(_) => "a function",
        syn::Item::Impl(_) => "an impl",
        syn::Item::Const(_) | syn::Item::Static(_) => "a constant",
        syn::Item::Macro(_) => "a macro",
        _ => "a type",
    }
}

/// Collects what one file defines and names.
struct Reader<'a> {
    tree: &'a mut Tree,
    file: String,
    module: Path,
    /// Modules with files of their own, read after this one.
    children: Vec<Path>,
}

impl Reader<'_> {
    fn read_items(&mut self, items: &[syn::Item]) {
        let module = self.tree.modules.entry(self.module.clone()).or_default();
        module.file = self.file.clone();
        for item in items.iter().filter(|item| !is_for_tests(attributes(item))) {
            if let Some(name) = defined_name(item) {
                self.define(name, Name::Item);
            }
        }
        for item in items {
            self.visit_item(item);
        }
    }

    fn define(&mut self, name: String, what: Name) {
        let module = self.tree.modules.entry(self.module.clone()).or_default();
        let known = module.names.entry(name).or_default();
        if !known.contains(&what) {
            known.push(what);
        }
    }

    fn name(&mut self, path: Path, is_absolute: bool, how: How) {
        let written = Written { path, is_absolute };
        self.tree.uses.push(Use { module: self.module.clone(), written, how });
    }

    fn import(&mut self, tree: &syn::UseTree, before: Path, is_absolute: bool, how: How) {
        let with = |last: &syn::Ident| [before.as_slice(), &[plain(last)]].concat();
        match tree {
            syn::UseTree::Path(path) => self.import(&path.tree, with(&path.ident), is_absolute, how),
            syn::UseTree::Group(group) => {
                for item in &group.items {
                    self.import(item, before.clone(), is_absolute, how);
                }
            }
            syn::UseTree::Glob(_) => {
                let glob = Written { path: before.clone(), is_absolute };
                self.tree.modules.entry(self.module.clone()).or_default().globs.push(glob);
                self.name(before, is_absolute, if how == How::Named { How::Glob } else { how });
            }
            syn::UseTree::Name(name) if name.ident == "self" => {
                self.import_as(before.last().cloned(), before, is_absolute, how);
            }
            syn::UseTree::Rename(name) if name.ident == "self" => {
                self.import_as(Some(plain(&name.rename)), before, is_absolute, how);
            }
            syn::UseTree::Name(name) => {
                self.import_as(Some(plain(&name.ident)), with(&name.ident), is_absolute, how);
            }
            syn::UseTree::Rename(name) => {
                self.import_as(Some(plain(&name.rename)), with(&name.ident), is_absolute, how);
            }
        }
    }

    fn import_as(&mut self, name: Option<String>, path: Path, is_absolute: bool, how: How) {
        if let Some(name) = name {
            self.define(name, Name::Import(Written { path: path.clone(), is_absolute }));
        }
        self.name(path, is_absolute, how);
    }

    /// The paths in what a macro or an attribute is given, whose grammar is its own: words that `::` joins, with groups
    /// (`a::{b, c}`). A literal counts where it holds such a path (`#[serde(with = "crate::setting")]`).
    fn name_in_tokens(&mut self, tokens: TokenStream, literals: bool) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Ident(_) => {
                    let is_absolute = ends_with_colons(&tokens[..at]);
                    at = self.name_path_in_tokens(&tokens, at, Vec::new(), is_absolute);
                    continue;
                }
                TokenTree::Group(group) => self.name_in_tokens(group.stream(), literals),
                TokenTree::Literal(literal) if literals => {
                    let text = syn::parse_str::<syn::LitStr>(&literal.to_string());
                    let path = text.ok().and_then(|text| text.parse::<syn::Path>().ok());
                    if let Some(path) = path.filter(|path| path.segments.len() > 1) {
                        self.visit_path(&path);
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }

    /// Names the path that begins with the word at `at`, and answers with what follows it.
    fn name_path_in_tokens(&mut self, tokens: &[TokenTree], mut at: usize, mut path: Path, is_absolute: bool) -> usize {
        while let Some(TokenTree::Ident(word)) = tokens.get(at) {
            path.push(plain(word));
            at += 1;
            if !starts_with_colons(&tokens[at..]) {
                break;
            }
            at += 2;
        }
        if let Some(TokenTree::Group(group)) = tokens.get(at)
            && group.delimiter() == Delimiter::Brace
            && ends_with_colons(&tokens[..at])
        {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            for item in inner.split(|token| matches!(token, TokenTree::Punct(sign) if sign.as_char() == ',')) {
                self.name_path_in_tokens(item, 0, path.clone(), is_absolute);
            }
            return at + 1;
        }
        self.name(path, is_absolute, How::Named);
        at
    }
}

fn is_colon(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Punct(sign)) if sign.as_char() == ':')
}

fn starts_with_colons(tokens: &[TokenTree]) -> bool {
    is_colon(tokens.first()) && is_colon(tokens.get(1))
}

fn ends_with_colons(tokens: &[TokenTree]) -> bool {
    tokens.len() >= 2 && starts_with_colons(&tokens[tokens.len() - 2..])
}

/// An identifier without the `r#` of a raw one.
fn plain(word: &syn::Ident) -> String {
    word.to_string().trim_start_matches("r#").to_string()
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        } else if let syn::Item::Mod(module) = item
            && module.content.is_none()
        {
            self.tree.tests.insert([self.module.as_slice(), &[plain(&module.ident)]].concat());
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let name = plain(&item.ident);
        let path = [self.module.as_slice(), std::slice::from_ref(&name)].concat();
        self.define(name, Name::Module);
        for attribute in &item.attrs {
            assert!(!attribute.path().is_ident("path"), "src/{}: a module's file bears its name", self.file);
            self.visit_attribute(attribute);
        }
        match &item.content {
            Some((_, items)) => {
                let outer = mem::replace(&mut self.module, path);
                self.read_items(items);
                self.module = outer;
            }
            None => self.children.push(path),
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let is_private = matches!(item.vis, syn::Visibility::Inherited);
        let how = if is_private { How::Named } else { How::Reexport };
        self.import(&item.tree, Vec::new(), item.leading_colon.is_some(), how);
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        self.name(vec![plain(&item.ident)], true, How::Named);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let words = path.segments.iter().map(|segment| plain(&segment.ident)).collect();
        self.name(words, path.leading_colon.is_some(), How::Named);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.name_in_tokens(call.tokens.clone(), false);
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        match &attribute.meta {
            meta if meta.path().is_ident("doc") => {}
            syn::Meta::List(list) => {
                self.visit_path(&list.path);
                self.name_in_tokens(list.tokens.clone(), true);
            }
            other => visit::visit_meta(self, other),
        }
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        if signature.asyncness.is_some() {
            self.name(vec!["async".into()], false, How::Named);
        }
        visit::visit_signature(self, signature);
    }

    fn visit_expr(&mut self, expression: &'ast syn::Expr) {
        let keyword = match expression {
            syn::Expr::Async(_) => Some("async"),
            syn::Expr::Closure(closure) if closure.asyncness.is_some() => Some("async"),
            syn::Expr::Await(_) => Some("await"),
            _ => None,
        };
        if let Some(keyword) = keyword {
            self.name(vec![keyword.into()], false, How::Named);
        }
        visit::visit_expr(self, expression);
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        let attributes: &[syn::Attribute] = match item {
            syn::ImplItem::Const(item) => &item.attrs,
            syn::ImplItem::Fn(item) => &item.attrs,
            syn::ImplItem::Type(item) => &item.attrs,
            syn::ImplItem::Macro(item) => &item.attrs,
            _ => &[],
        };
        if !is_for_tests(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_trait_item(&mut self, item: &'ast syn::TraitItem) {
        let attributes: &[syn::Attribute] = match item {
            syn::TraitItem::Const(item) => &item.attrs,
            syn::TraitItem::Fn(item) => &item.attrs,
            syn::TraitItem::Type(item) => &item.attrs,
            syn::TraitItem::Macro(item) => &item.attrs,
            _ => &[],
        };
        if !is_for_tests(attributes) {
            visit::visit_trait_item(self, item);
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if !is_for_tests(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_field_value(&mut self, field: &'ast syn::FieldValue) {
        if !is_for_tests(&field.attrs) {
            visit::visit_field_value(self, field);
        }
    }

    fn visit_variant(&mut self, variant: &'ast syn::Variant) {
        if !is_for_tests(&variant.attrs) {
            visit::visit_variant(self, variant);
        }
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        if !is_for_tests(&arm.attrs) {
            visit::visit_arm(self, arm);
        }
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if !is_for_tests(&local.attrs) {
            visit::visit_local(self, local);
        }
    }

    fn visit_stmt_macro(&mut self, call: &'ast syn::StmtMacro) {
        if !is_for_tests(&call.attrs) {
            visit::visit_stmt_macro(self, call);
        }
    }
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::ExternCrate(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::ForeignMod(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Union(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn defined_name(item: &syn::Item) -> Option<String> {
    let name = match item {
        syn::Item::Const(item) => &item.ident,
        syn::Item::Enum(item) => &item.ident,
        syn::Item::Fn(item) => &item.sig.ident,
        syn::Item::Macro(item) => item.ident.as_ref()?,
        syn::Item::Static(item) => &item.ident,
        syn::Item::Struct(item) => &item.ident,
        syn::Item::Trait(item) => &item.ident,
        syn::Item::Type(item) => &item.ident,
        syn::Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(plain(name))
}

/// One of the attributes is a `cfg` that only tests satisfy.
fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    let mut conditions = attributes.iter().filter(|attribute| attribute.path().is_ident("cfg"));
    conditions.any(|attribute| attribute.parse_args().is_ok_and(|condition| needs_test(&condition)))
}

fn needs_test(condition: &syn::Meta) -> bool {
    let parts = || -> Vec<syn::Meta> {
        let syn::Meta::List(list) = condition else { return Vec::new() };
        let parser = syn::punctuated::Punctuated::<syn::Meta, syn::Token![,]>::parse_terminated;
        list.parse_args_with(parser).map(|parts| parts.into_iter().collect()).unwrap_or_default()
    };
    match condition.path() {
        path if path.is_ident("all") => parts().iter().any(needs_test),
        path if path.is_ident("any") => !parts().is_empty() && parts().iter().all(needs_test),
        path => path.is_ident("test"),
    }
}
