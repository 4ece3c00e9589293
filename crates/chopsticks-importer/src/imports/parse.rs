//! The parser that finds the imports of a source.

use std::borrow::Cow;

use memchr::memmem;
use tree_sitter::{Node, Parser, Tree};

use super::{Import, Imports, Names};

impl Imports {
    /// Reads a source in any encoding. Text that cannot be parsed is skipped.
    pub(super) fn parse(source: &[u8]) -> Self {
        let text = text(source);
        let Some(head) = head(&text) else { return Self::default() };
        let mut parser = Parser::new();
        if parser.set_language(&tree_sitter_python::LANGUAGE.into()).is_err() {
            return Self::default();
        }
        let mut read = |text: &str| parser.parse(text, None).map(|tree| (Self::of(&tree, text), tree));
        match read(head) {
            // A text that is cut inside a string is another one.
            Some((_, tree)) if tree.root_node().has_error() && head.len() < text.len() => read(&text),
            outcome => outcome,
        }
        .map(|(imports, _)| imports)
        .unwrap_or_default()
    }

    fn of(tree: &Tree, text: &str) -> Self {
        let mut imports = Self::default();
        // By hand instead of by recursion, for an expression can be nested as deeply as it likes.
        let mut cursor = tree.walk();
        loop {
            imports.visit(cursor.node(), text);
            if cursor.goto_first_child() {
                continue;
            }
            while !cursor.goto_next_sibling() {
                if !cursor.goto_parent() {
                    return imports;
                }
            }
        }
    }

    fn visit(&mut self, node: Node<'_>, text: &str) {
        match node.kind() {
            "import_statement" => {
                for module in names(node, text) {
                    self.list.push(Import { level: 0, module, names: Names::Module });
                }
            }
            "import_from_statement" => self.visit_from(node, text),
            "call" => self.visit_call(node, text),
            "assignment" | "augmented_assignment" => {
                let is_all = |left| slice(left, text) == "__all__";
                let Some(right) = node.child_by_field_name("right") else { return };
                if node.child_by_field_name("left").is_some_and(is_all)
                    && matches!(right.kind(), "list" | "tuple" | "expression_list")
                {
                    let mut cursor = right.walk();
                    self.all.extend(right.named_children(&mut cursor).filter_map(|node| literal(node, text)));
                }
            }
            _ => {}
        }
    }

    /// `from module import names`
    fn visit_from(&mut self, node: Node<'_>, text: &str) {
        let Some(module) = node.child_by_field_name("module_name") else { return };
        let module = dotted(module, text);
        let name = module.trim_start_matches('.');
        let mut cursor = node.walk();
        let is_all = node.children(&mut cursor).any(|child| child.kind() == "wildcard_import");
        let names = if is_all { Names::All } else { Names::Listed(names(node, text)) };
        self.list.push(Import { level: module.len() - name.len(), module: name.to_owned(), names });
    }

    /// `importlib.import_module("name")`, `__import__("name")`
    fn visit_call(&mut self, node: Node<'_>, text: &str) {
        let Some(function) = node.child_by_field_name("function") else { return };
        let function = match function.kind() {
            "attribute" => function.child_by_field_name("attribute").map(|name| slice(name, text)),
            _ => Some(slice(function, text)),
        };
        if !matches!(function, Some("import_module" | "__import__")) {
            return;
        }
        let Some(arguments) = node.child_by_field_name("arguments") else { return };
        let mut cursor = arguments.walk();
        let arguments: Vec<_> = arguments.named_children(&mut cursor).take(2).collect();
        let Some(name) = arguments.first().and_then(|node| literal(node_value(*node), text)) else { return };
        let module = name.trim_start_matches('.');
        let mut level = name.len() - module.len();
        let mut module = module.to_owned();
        // Relative to a package that may be named, and otherwise is most likely the one around.
        let package = arguments.get(1).and_then(|node| literal(node_value(*node), text));
        if let (1.., Some(package)) = (level, package) {
            let around = package.rsplitn(level, '.').last().unwrap_or_default();
            module = format!("{around}.{module}");
            level = 0;
        }
        self.list.push(Import { level, module, names: Names::Module });
    }
}

/// Returns the source as text.
///
/// Text that is not UTF-8 is read as Latin-1. All encodings in use that a cookie can declare
/// contain ASCII, and nothing more is needed except for names beyond ASCII.
fn text(source: &[u8]) -> Cow<'_, str> {
    let source = source.strip_prefix(b"\xef\xbb\xbf").unwrap_or(source);
    let text = match str::from_utf8(source) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(source.iter().map(|&byte| char::from(byte)).collect()),
    };
    // Python also takes a carriage return alone for the end of a line, the grammar does not.
    if text.contains('\r') { Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n")) } else { text }
}

/// Returns the part of the text that can contain imports: up to the end of the definition that
/// contains the last import. Returns `None` if there is no import.
///
/// Parsing takes 0.1 s for a megabyte. Most modules begin with their imports, and generated data,
/// which makes modules so long, has no imports.
fn head(text: &str) -> Option<&str> {
    let last = ["import", "__all__"]
        .into_iter()
        .filter_map(|word| memmem::rfind(text.as_bytes(), word.as_bytes()))
        .max()?;
    let rest = &text[last..];
    let next = ["\ndef ", "\nclass "]
        .into_iter()
        .filter_map(|word| memmem::find(rest.as_bytes(), word.as_bytes()))
        .min();
    Some(next.map_or(text, |end| &text[..=last + end]))
}

/// Returns the dotted names that an import statement lists, without those after `as`.
fn names(node: Node<'_>, text: &str) -> Vec<String> {
    let mut cursor = node.walk();
    let name = |node: Node<'_>| match node.kind() {
        "aliased_import" => node.child_by_field_name("name").map(|name| dotted(name, text)),
        _ => Some(dotted(node, text)),
    };
    node.children_by_field_name("name", &mut cursor).filter_map(name).collect()
}

/// Returns a dotted name without the blanks that may surround its dots.
fn dotted(node: Node<'_>, text: &str) -> String {
    slice(node, text).chars().filter(|c| !c.is_whitespace() && *c != '\\').collect()
}

/// Returns the value of a plain string, or `None` for any other expression.
fn literal(node: Node<'_>, text: &str) -> Option<String> {
    let mut cursor = node.walk();
    if node.kind() == "concatenated_string" {
        return node.named_children(&mut cursor).map(|part| literal(part, text)).collect();
    }
    if node.kind() != "string" {
        return None;
    }
    let mut value = String::new();
    for child in node.named_children(&mut cursor) {
        match child.kind() {
            "string_content" => value.push_str(slice(child, text)),
            "string_start" | "string_end" => {}
            // Something is put in when the code runs.
            _ => return None,
        }
    }
    Some(value)
}

/// Returns the value of a keyword argument, or the argument itself.
fn node_value(node: Node<'_>) -> Node<'_> {
    node.child_by_field_name("value").filter(|_| node.kind() == "keyword_argument").unwrap_or(node)
}

fn slice<'a>(node: Node<'_>, text: &'a str) -> &'a str {
    text.get(node.byte_range()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
